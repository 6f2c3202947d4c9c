/** Volumes of a pod and where containers mount them. */
import { duplicate, forbidden, invalid, notFoundField, required } from '../../../../kube/field-error.ts'
import { checkDns1123Label } from '../../../../kube/names.ts'
import type { Container, KeyToPath, PodSpec, Volume } from '../../../../kube/types.ts'
import { at } from '../support.ts'
import { checkEach, checkOneOf, type Problems } from './meta.ts'
import { compareQuantities, isQuantity } from './quantities.ts'

const HOST_PATH_TYPES = [
  '',
  'BlockDevice',
  'CharDevice',
  'Directory',
  'DirectoryOrCreate',
  'File',
  'FileOrCreate',
  'Socket',
]
const MODE_MAX = 0o777
const TOKEN_SECONDS_MIN = 600
const TOKEN_SECONDS_MAX = 2 ** 32

/** Adds problems and returns the names of the volumes. */
export function checkVolumes(out: Problems, field: string, volumes: PodSpec['volumes']): ReadonlySet<string> {
  const names = new Set<string>()
  for (const [index, volume] of (volumes ?? []).entries()) {
    const path = at(field, index)
    checkSource(out, path, volume)
    if (!volume.name) out.push(required(`${path}.name`))
    else checkEach(out, `${path}.name`, volume.name, checkDns1123Label(volume.name))
    if (names.has(volume.name)) out.push(duplicate(`${path}.name`, volume.name))
    names.add(volume.name)
  }
  return names
}

function checkSource(out: Problems, path: string, volume: Volume): void {
  const sources = Object.keys(volume).filter(
    key => key !== 'name' && volume[key as keyof Volume] !== undefined,
  )
  if (sources.length === 0) out.push(required(path, 'must specify a volume type'))
  for (const extra of sources.slice(1)) {
    out.push(forbidden(`${path}.${extra}`, 'may not specify more than 1 volume type'))
  }
  const { emptyDir, hostPath, nfs, persistentVolumeClaim: claim, csi } = volume
  checkFileSources(out, path, volume)
  const size = emptyDir?.sizeLimit
  if (size !== undefined && isQuantity(size) && compareQuantities(size, '0') < 0) {
    out.push(forbidden(`${path}.emptyDir.sizeLimit`, 'SizeLimit field must be a valid resource quantity'))
  }
  if (hostPath) checkHostPath(out, `${path}.hostPath`, hostPath)
  if (nfs && !nfs.server) out.push(required(`${path}.nfs.server`))
  if (nfs && !nfs.path) out.push(required(`${path}.nfs.path`))
  if (nfs?.path && !nfs.path.startsWith('/')) {
    out.push(invalid(`${path}.nfs.path`, nfs.path, 'must be an absolute path'))
  }
  if (claim && !claim.claimName) out.push(required(`${path}.persistentVolumeClaim.claimName`))
  if (csi && !csi.driver) out.push(required(`${path}.csi.driver`))
  if (volume.ephemeral && !volume.ephemeral.volumeClaimTemplate) {
    out.push(required(`${path}.ephemeral.volumeClaimTemplate`))
  }
}

function checkHostPath(out: Problems, path: string, source: { path: string; type?: string }): void {
  if (!source.path) out.push(required(`${path}.path`))
  else checkNoBacksteps(out, `${path}.path`, source.path)
  checkOneOf(out, `${path}.type`, source.type, HOST_PATH_TYPES)
}

function checkFileSources(out: Problems, path: string, volume: Volume): void {
  const { secret, configMap, downwardAPI, projected } = volume
  if (secret) {
    if (!secret.secretName) out.push(required(`${path}.secret.secretName`))
    checkFiles(out, `${path}.secret`, secret)
  }
  if (configMap) {
    if (!configMap.name) out.push(required(`${path}.configMap.name`))
    checkFiles(out, `${path}.configMap`, configMap)
  }
  if (downwardAPI) checkDownward(out, `${path}.downwardAPI`, downwardAPI)
  if (!projected) return
  checkMode(out, `${path}.projected.defaultMode`, projected.defaultMode)
  for (const [index, source] of (projected.sources ?? []).entries()) {
    checkProjection(out, at(`${path}.projected.sources`, index), source)
  }
}

type Projection = NonNullable<NonNullable<Volume['projected']>['sources']>[number]

function checkProjection(out: Problems, path: string, source: Projection): void {
  if (Object.keys(source).length > 1) {
    for (const extra of Object.keys(source).slice(1)) {
      out.push(forbidden(`${path}.${extra}`, 'may not specify more than 1 volume type'))
    }
  }
  if (source.secret && !source.secret.name) out.push(required(`${path}.secret.name`))
  if (source.configMap && !source.configMap.name) out.push(required(`${path}.configMap.name`))
  if (source.downwardAPI) checkDownward(out, `${path}.downwardAPI`, source.downwardAPI)
  const token = source.serviceAccountToken
  if (!token) return
  const seconds = token.expirationSeconds ?? TOKEN_SECONDS_MIN
  const field = `${path}.serviceAccountToken.expirationSeconds`
  if (seconds < TOKEN_SECONDS_MIN) {
    out.push(invalid(field, seconds, 'may not specify a duration less than 10 minutes'))
  }
  if (seconds > TOKEN_SECONDS_MAX) {
    out.push(invalid(field, seconds, 'may not specify a duration larger than 2^32 seconds'))
  }
  if (!token.path) out.push(required(`${path}.serviceAccountToken.path`))
}

function checkFiles(
  out: Problems,
  path: string,
  source: { defaultMode?: number; items?: KeyToPath[] },
): void {
  checkMode(out, `${path}.defaultMode`, source.defaultMode)
  for (const [index, item] of (source.items ?? []).entries()) {
    const field = at(`${path}.items`, index)
    if (!item.key) out.push(required(`${field}.key`))
    if (!item.path) out.push(required(`${field}.path`))
    else checkLocalPath(out, `${field}.path`, item.path)
    checkMode(out, `${field}.mode`, item.mode)
  }
}

function checkDownward(
  out: Problems,
  path: string,
  source: {
    defaultMode?: number
    items?: { path: string; fieldRef?: unknown; resourceFieldRef?: unknown }[]
  },
): void {
  checkMode(out, `${path}.defaultMode`, source.defaultMode)
  for (const [index, item] of (source.items ?? []).entries()) {
    const field = at(`${path}.items`, index)
    if (!item.path) out.push(required(`${field}.path`))
    else checkLocalPath(out, `${field}.path`, item.path)
    if (item.fieldRef && item.resourceFieldRef) {
      out.push(
        invalid(field, 'resource', 'fieldRef and resourceFieldRef can not be specified simultaneously'),
      )
    } else if (!item.fieldRef && !item.resourceFieldRef) {
      out.push(required(field, 'one of fieldRef and resourceFieldRef is required'))
    }
  }
}

function checkMode(out: Problems, field: string, mode: number | undefined): void {
  if (mode === undefined || (mode >= 0 && mode <= MODE_MAX)) return
  out.push(invalid(field, mode, 'must be a number between 0 and 0777 (octal), both inclusive'))
}

/** A relative path that stays inside. */
function checkLocalPath(out: Problems, field: string, path: string): void {
  if (path.startsWith('/')) out.push(invalid(field, path, 'must be a relative path'))
  checkNoBacksteps(out, field, path)
}

function checkNoBacksteps(out: Problems, field: string, path: string): void {
  if (path.split('/').includes('..')) out.push(invalid(field, path, "must not contain '..'"))
}

export function checkMounts(
  out: Problems,
  path: string,
  container: Container,
  volumes: ReadonlySet<string>,
): void {
  const paths = new Set<string>()
  for (const [index, mount] of (container.volumeMounts ?? []).entries()) {
    const field = at(`${path}.volumeMounts`, index)
    if (!mount.name) out.push(required(`${field}.name`))
    else if (!volumes.has(mount.name)) out.push(notFoundField(`${field}.name`, mount.name))
    if (!mount.mountPath) out.push(required(`${field}.mountPath`))
    if (paths.has(mount.mountPath)) {
      out.push(invalid(`${field}.mountPath`, mount.mountPath, 'must be unique'))
    }
    paths.add(mount.mountPath)
    if (mount.subPath) checkLocalPath(out, `${field}.subPath`, mount.subPath)
    if (!mount.subPathExpr) continue
    if (mount.subPath) {
      out.push(
        invalid(`${field}.subPathExpr`, mount.subPathExpr, 'subPathExpr and subPath are mutually exclusive'),
      )
    }
    checkLocalPath(out, `${field}.subPathExpr`, mount.subPathExpr)
  }
}
