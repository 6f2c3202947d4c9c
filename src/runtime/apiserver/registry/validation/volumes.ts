/** Volumes of a pod: one source each, and what each source needs. */
import { duplicate, forbidden, invalid, required } from '../../../../kube/field-error.ts'
import { checkDns1123Label } from '../../../../kube/names.ts'
import type { KeyToPath, PodSpec, Volume } from '../../../../kube/types.ts'
import { at } from '../support.ts'
import { checkClaimTemplate } from './claim-spec.ts'
import { checkFieldRef, checkResourceRef, type FieldRef, type ResourceRef } from './downward.ts'
import { checkDriverName } from './drivers.ts'
import { checkEach, checkOneOf, type Problems } from './meta.ts'
import { checkFreePath, checkMode, checkNoBacksteps } from './paths.ts'
import { compareQuantities, isQuantity } from './quantities.ts'
import { checkOlderSources } from './volume-sources.ts'

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
const TOKEN_SECONDS_MIN = 600
const TOKEN_SECONDS_MAX = 2 ** 32
const CERTIFICATE_SECONDS_MIN = 3600
const CERTIFICATE_SECONDS_MAX = 7_862_400
const KEY_TYPES = ['RSA3072', 'RSA4096', 'ECDSAP256', 'ECDSAP384', 'ECDSAP521', 'ED25519']
const PULL_POLICIES = ['Always', 'IfNotPresent', 'Never']

/** Adds problems and returns the volumes by name. */
export function checkVolumes(
  out: Problems,
  field: string,
  volumes: PodSpec['volumes'],
): ReadonlyMap<string, Volume> {
  const found = new Map<string, Volume>()
  for (const [index, volume] of (volumes ?? []).entries()) {
    const path = at(field, index)
    checkSource(out, path, volume)
    if (!volume.name) out.push(required(`${path}.name`))
    else checkEach(out, `${path}.name`, volume.name, checkDns1123Label(volume.name))
    if (found.has(volume.name)) out.push(duplicate(`${path}.name`, volume.name))
    found.set(volume.name, volume)
  }
  return found
}

function checkSource(out: Problems, path: string, volume: Volume): void {
  const sources = Object.keys(volume).filter(
    key => key !== 'name' && volume[key as keyof Volume] !== undefined,
  )
  if (sources.length === 0) out.push(required(path, 'must specify a volume type'))
  for (const extra of sources.slice(1)) {
    out.push(forbidden(`${path}.${extra}`, 'may not specify more than 1 volume type'))
  }
  const size = volume.emptyDir?.sizeLimit
  if (size !== undefined && isQuantity(size) && compareQuantities(size, '0') < 0) {
    out.push(forbidden(`${path}.emptyDir.sizeLimit`, 'SizeLimit field must be a valid resource quantity'))
  }
  if (volume.hostPath) checkHostPath(out, `${path}.hostPath`, volume.hostPath)
  checkFileSources(out, path, volume)
  checkOlderSources(out, path, volume)
  checkDrivers(out, path, volume)
}

function checkDrivers(out: Problems, path: string, { csi, ephemeral, image }: Volume): void {
  if (csi) {
    const { driver = '', nodePublishSecretRef: secret } = csi
    checkDriverName(out, `${path}.csi.driver`, driver)
    if (secret && !secret.name) out.push(required(`${path}.csi.nodePublishSecretRef.name`))
  }
  if (ephemeral) {
    const field = `${path}.ephemeral.volumeClaimTemplate`
    if (ephemeral.volumeClaimTemplate) checkClaimTemplate(out, field, ephemeral.volumeClaimTemplate)
    else out.push(required(field))
  }
  if (!image) return
  if (!image.reference) out.push(required(`${path}.image.reference`))
  if (image.pullPolicy) checkOneOf(out, `${path}.image.pullPolicy`, image.pullPolicy, PULL_POLICIES)
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
  const paths = new Set<string>()
  for (const [index, source] of (projected.sources ?? []).entries()) {
    checkProjection(out, at(`${path}.projected.sources`, index), source, paths)
  }
}

type Projection = NonNullable<NonNullable<Volume['projected']>['sources']>[number]

function checkProjection(out: Problems, path: string, source: Projection, taken: Set<string>): void {
  for (const extra of Object.keys(source).slice(1)) {
    out.push(forbidden(`${path}.${extra}`, 'may not specify more than 1 volume type'))
  }
  for (const name of ['secret', 'configMap'] as const) {
    const files = source[name]
    if (!files) continue
    if (!files.name) out.push(required(`${path}.${name}.name`))
    checkFiles(out, `${path}.${name}`, files)
    for (const item of files.items ?? []) takePath(out, `${path}.${name}`, item.path, taken)
  }
  if (source.downwardAPI) {
    checkDownward(out, `${path}.downwardAPI`, source.downwardAPI)
    for (const item of source.downwardAPI.items ?? []) {
      takePath(out, `${path}.downwardAPI`, item.path, taken)
    }
  }
  const token = source.serviceAccountToken
  if (token) checkToken(out, `${path}.serviceAccountToken`, token, taken)
  const certificate = source.podCertificate
  if (certificate) checkCertificate(out, `${path}.podCertificate`, certificate, taken)
  const bundle = source.clusterTrustBundle
  if (bundle) checkBundle(out, `${path}.clusterTrustBundle`, bundle)
}

type Certificate = NonNullable<Projection['podCertificate']>

/** A certificate of the pod's own: who signs, with which key, for how long, and where the files go. */
function checkCertificate(out: Problems, path: string, from: Certificate, taken: Set<string>): void {
  if (!from.signerName) out.push(required(`${path}.signerName`))
  checkOneOf(out, `${path}.keyType`, from.keyType, KEY_TYPES)
  const seconds = from.maxExpirationSeconds
  const field = `${path}.maxExpirationSeconds`
  const bound = 'if provided, maxExpirationSeconds must be'
  if (seconds !== undefined && seconds < CERTIFICATE_SECONDS_MIN) {
    out.push(invalid(field, seconds, `${bound} >= ${CERTIFICATE_SECONDS_MIN}`))
  }
  if (seconds !== undefined && seconds > CERTIFICATE_SECONDS_MAX) {
    out.push(invalid(field, seconds, `${bound} <= ${CERTIFICATE_SECONDS_MAX}`))
  }
  const names = ['credentialBundlePath', 'keyPath', 'certificateChainPath'] as const
  for (const name of names) {
    const file = from[name]
    if (!file) continue
    checkFreePath(out, `${path}.${name}`, file)
    takePath(out, `${path}.${name}`, file, taken)
  }
  if (names.some(name => from[name])) return
  out.push(required(path, 'specify at least one of credentialBundlePath, keyPath, and certificateChainPath'))
}

function takePath(out: Problems, field: string, path: string | undefined, taken: Set<string>): void {
  if (!path) return
  if (taken.has(path)) out.push(invalid(field, path, 'conflicting duplicate paths'))
  taken.add(path)
}

type Token = NonNullable<Projection['serviceAccountToken']>

function checkToken(out: Problems, path: string, token: Token, taken: Set<string>): void {
  const seconds = token.expirationSeconds ?? TOKEN_SECONDS_MIN
  const field = `${path}.expirationSeconds`
  if (seconds < TOKEN_SECONDS_MIN) {
    out.push(invalid(field, seconds, 'may not specify a duration less than 10 minutes'))
  }
  if (seconds > TOKEN_SECONDS_MAX) {
    out.push(invalid(field, seconds, 'may not specify a duration larger than 2^32 seconds'))
  }
  if (!token.path) out.push(required(`${path}.path`))
  else {
    checkFreePath(out, `${path}.path`, token.path)
    takePath(out, path, token.path, taken)
  }
}

type Bundle = NonNullable<Projection['clusterTrustBundle']>

function checkBundle(out: Problems, path: string, bundle: Bundle): void {
  if (bundle.name !== undefined && bundle.signerName !== undefined) {
    out.push(invalid(path, bundle, 'only one of name and signerName may be used'))
  } else if (bundle.name === undefined && bundle.signerName === undefined) {
    out.push(required(path, 'either name or signerName must be specified'))
  }
  if (!bundle.path) out.push(required(`${path}.path`))
  else checkFreePath(out, `${path}.path`, bundle.path)
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
    else checkFreePath(out, `${field}.path`, item.path)
    checkMode(out, `${field}.mode`, item.mode)
  }
}

interface DownwardFile {
  path: string
  mode?: number
  fieldRef?: FieldRef
  resourceFieldRef?: ResourceRef
}

/** The fields that a file may show: those that a pod has before it runs. */
const FILE_FIELDS = [
  'metadata.annotations',
  'metadata.labels',
  'metadata.name',
  'metadata.namespace',
  'metadata.uid',
]

function checkDownward(
  out: Problems,
  path: string,
  source: { defaultMode?: number; items?: DownwardFile[] },
): void {
  checkMode(out, `${path}.defaultMode`, source.defaultMode)
  for (const item of source.items ?? []) {
    if (!item.path) out.push(required(`${path}.path`))
    else checkFreePath(out, `${path}.path`, item.path)
    if (item.fieldRef) {
      checkFieldRef(out, `${path}.fieldRef`, item.fieldRef, FILE_FIELDS)
      if (item.resourceFieldRef) {
        const detail = 'fieldRef and resourceFieldRef can not be specified simultaneously'
        out.push(invalid(path, 'resource', detail))
      }
    } else if (item.resourceFieldRef) {
      checkResourceRef(out, `${path}.resourceFieldRef`, item.resourceFieldRef, true)
    } else {
      out.push(required(path, 'one of fieldRef and resourceFieldRef is required'))
    }
    checkMode(out, `${path}.mode`, item.mode)
  }
}
