/** The sources of volumes that name a place on a network or in a cloud, in pods and in persistent volumes. */
import { invalid, notSupported, required } from '../../../../kube/field-error.ts'
import type { PersistentVolume, Volume } from '../../../../kube/types.ts'
import { checkDriverName } from './drivers.ts'
import type { Problems } from './meta.ts'
import { checkFreePath } from './paths.ts'

type Sources = Partial<Omit<Volume, 'name'>>
const BYTE_MAX = 255
const IQN = /^(iqn\.\d{4}-\d{2}\.([a-z0-9.-]+)(:[^,;*&$|\s]+)?|eui\.[0-9a-fA-F]{16}|naa\.[0-9a-fA-F]{32})$/

/** Fields that must not be empty, by source. */
const NEEDED: Readonly<Record<string, readonly string[]>> = {
  gcePersistentDisk: ['pdName'],
  awsElasticBlockStore: ['volumeID'],
  gitRepo: ['repository'],
  nfs: ['server', 'path'],
  iscsi: ['targetPortal', 'iqn'],
  glusterfs: ['endpoints', 'path'],
  persistentVolumeClaim: ['claimName'],
  rbd: ['monitors', 'image'],
  cinder: ['volumeID'],
  cephfs: ['monitors'],
  flexVolume: ['driver'],
  azureFile: ['secretName', 'shareName'],
  vsphereVolume: ['volumePath'],
  photonPersistentDisk: ['pdID'],
  portworxVolume: ['volumeID'],
  azureDisk: ['diskName', 'diskURI'],
  scaleIO: ['gateway', 'system', 'volumeName'],
}

const isEmpty = (value: unknown): boolean =>
  value === undefined || value === '' || (Array.isArray(value) && value.length === 0)

export function checkOlderSources(out: Problems, path: string, sources: object): void {
  for (const [name, source] of Object.entries(sources)) {
    const fields = NEEDED[name]
    if (fields === undefined || typeof source !== 'object' || source === null) continue
    const values = source as Readonly<Record<string, unknown>>
    for (const field of fields) if (isEmpty(values[field])) out.push(required(`${path}.${name}.${field}`))
  }
  checkNumbers(out, path, sources)
  checkShapes(out, path, sources)
}

function checkNumbers(out: Problems, path: string, sources: Sources): void {
  const numbers = {
    'gcePersistentDisk.partition': sources.gcePersistentDisk?.partition,
    'awsElasticBlockStore.partition': sources.awsElasticBlockStore?.partition,
    'iscsi.lun': sources.iscsi?.lun,
    'fc.lun': sources.fc?.lun,
  }
  for (const [name, value] of Object.entries(numbers)) {
    if (value === undefined || (value >= 0 && value <= BYTE_MAX)) continue
    out.push(invalid(`${path}.${name}`, value, `must be between 0 and ${BYTE_MAX}, inclusive`))
  }
}

function checkShapes(out: Problems, path: string, sources: Sources): void {
  const { nfs, iscsi, gitRepo, fc, flocker, azureDisk, quobyte } = sources
  if (nfs?.path && !nfs.path.startsWith('/')) {
    out.push(invalid(`${path}.nfs.path`, nfs.path, 'must be an absolute path'))
  }
  if (iscsi?.iqn && !IQN.test(iscsi.iqn)) {
    out.push(invalid(`${path}.iscsi.iqn`, iscsi.iqn, 'must be valid format'))
  }
  if (iscsi && (iscsi.chapAuthDiscovery || iscsi.chapAuthSession) && !iscsi.secretRef) {
    out.push(required(`${path}.iscsi.secretRef`))
  }
  if (gitRepo?.directory) checkFreePath(out, `${path}.gitRepo.directory`, gitRepo.directory)
  if (fc) checkFibreChannel(out, `${path}.fc`, fc)
  if (flocker) checkFlocker(out, `${path}.flocker`, flocker)
  if (azureDisk) checkAzureDisk(out, `${path}.azureDisk`, azureDisk)
  if (!quobyte) return
  if (!quobyte.registry) {
    const detail = 'must be a host:port pair or multiple pairs separated by commas'
    out.push(required(`${path}.quobyte.registry`, detail))
  }
  if (!quobyte.volume) out.push(required(`${path}.quobyte.volume`))
}

function checkFibreChannel(out: Problems, path: string, source: NonNullable<Sources['fc']>): void {
  const names = source.targetWWNs ?? []
  const ids = source.wwids ?? []
  const detail = 'must specify either targetWWNs or wwids'
  if (names.length === 0 && ids.length === 0)
    out.push(required(`${path}.targetWWNs`, `${detail}, but not both`))
  if (names.length > 0 && ids.length > 0) {
    out.push(invalid(`${path}.targetWWNs`, names, 'targetWWNs and wwids can not be specified simultaneously'))
  }
  if (names.length > 0 && source.lun === undefined) {
    out.push(required(`${path}.lun`, 'lun is required if targetWWNs is specified'))
  }
}

function checkFlocker(out: Problems, path: string, source: NonNullable<Sources['flocker']>): void {
  const { datasetName: name, datasetUUID: uuid } = source
  if (!name && !uuid) out.push(required(path, 'one of datasetName and datasetUUID is required'))
  if (name && uuid) {
    out.push(invalid(path, 'resource', 'datasetName and datasetUUID can not be specified simultaneously'))
  }
  if (name?.includes('/')) out.push(invalid(`${path}.datasetName`, name, "must not contain '/'"))
}

const CACHING = ['None', 'ReadOnly', 'ReadWrite']
const DISK_KINDS = ['Dedicated', 'Managed', 'Shared']

function checkAzureDisk(out: Problems, path: string, source: NonNullable<Sources['azureDisk']>): void {
  const { cachingMode, kind, diskURI } = source
  if (cachingMode !== undefined && !CACHING.includes(cachingMode)) {
    out.push(notSupported(`${path}.cachingMode`, cachingMode, CACHING))
  }
  if (kind !== undefined && !DISK_KINDS.includes(kind)) {
    out.push(notSupported(`${path}.kind`, kind, DISK_KINDS))
  }
  if (!diskURI) return
  if (kind === 'Managed' && !diskURI.startsWith('/subscriptions/')) {
    const form =
      '/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}'
    out.push(notSupported(`${path}.diskURI`, diskURI, [form]))
  } else if (kind !== 'Managed' && !diskURI.startsWith('https://')) {
    const form = 'https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd'
    out.push(notSupported(`${path}.diskURI`, diskURI, [form]))
  }
}

type VolumeSpec = NonNullable<PersistentVolume['spec']>

/** What only persistent volumes have: a directory of a node, and volumes that a driver made. */
export function checkPersistentSources(out: Problems, path: string, spec: VolumeSpec): void {
  checkOlderSources(out, path, spec)
  const { local, csi, hostPath } = spec
  if (hostPath && !hostPath.path) out.push(required(`${path}.hostPath.path`))
  if (local) {
    if (!local.path) out.push(required(`${path}.local.path`))
    else if (local.path.split('/').includes('..')) {
      out.push(invalid(`${path}.local.path`, local.path, "must not contain '..'"))
    }
  }
  if (!csi) return
  checkDriverName(out, `${path}.csi.driver`, csi.driver ?? '')
  if (!csi.volumeHandle) out.push(required(`${path}.csi.volumeHandle`))
  const secrets = {
    controllerPublishSecretRef: csi.controllerPublishSecretRef,
    nodePublishSecretRef: csi.nodePublishSecretRef,
    nodeStageSecretRef: csi.nodeStageSecretRef,
    controllerExpandSecretRef: csi.controllerExpandSecretRef,
  }
  for (const [name, reference] of Object.entries(secrets)) {
    if (!reference) continue
    if (!reference.name) out.push(required(`${path}.csi.${name}.name`))
    if (!reference.namespace) out.push(required(`${path}.csi.${name}.namespace`))
  }
}
