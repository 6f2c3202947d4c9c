/** Where containers mount volumes, and which block devices they get. */
import { forbidden, invalid, notFoundField, notSupported, required } from '../../../../kube/field-error.ts'
import type { Container, Volume } from '../../../../kube/types.ts'
import { at } from '../support.ts'
import type { Problems } from './meta.ts'
import { checkLocalPath } from './paths.ts'

export type Volumes = ReadonlyMap<string, Volume>
type Mount = NonNullable<Container['volumeMounts']>[number]
type Device = NonNullable<Container['volumeDevices']>[number]

const PROPAGATIONS = ['Bidirectional', 'HostToContainer', 'None']
const RECURSIONS = ['Disabled', 'Enabled', 'IfPossible']

export function checkMounts(out: Problems, path: string, container: Container, volumes: Volumes): void {
  const list = `${path}.volumeMounts`
  const devices = container.volumeDevices ?? []
  const paths = new Set<string>()
  for (const [index, mount] of (container.volumeMounts ?? []).entries()) {
    const field = at(list, index)
    if (!mount.name) out.push(required(`${field}.name`))
    if (!volumes.has(mount.name)) out.push(notFoundField(`${field}.name`, mount.name))
    if (!mount.mountPath) out.push(required(`${field}.mountPath`))
    if (paths.has(mount.mountPath)) {
      out.push(invalid(`${field}.mountPath`, mount.mountPath, 'must be unique'))
    }
    paths.add(mount.mountPath)
    if (devices.some(device => device.name === mount.name)) {
      out.push(invalid(`${field}.name`, mount.name, 'must not already exist in volumeDevices'))
    }
    if (devices.some(device => device.devicePath === mount.mountPath)) {
      const detail = 'must not already exist as a path in volumeDevices'
      out.push(invalid(`${field}.mountPath`, mount.mountPath, detail))
    }
    checkSubPath(out, list, field, mount)
    checkSharing(out, list, mount, container.securityContext?.privileged === true)
  }
  checkDevices(out, `${path}.volumeDevices`, container, volumes)
}

/** Upstream reports paths at the list, not at the item. */
function checkSubPath(out: Problems, list: string, field: string, mount: Mount): void {
  if (mount.subPath) checkLocalPath(out, `${list}.subPath`, mount.subPath)
  if (!mount.subPathExpr) return
  if (mount.subPath) {
    const detail = 'subPathExpr and subPath are mutually exclusive'
    out.push(invalid(`${field}.subPathExpr`, mount.subPathExpr, detail))
  }
  checkLocalPath(out, `${list}.subPathExpr`, mount.subPathExpr)
}

function checkSharing(out: Problems, list: string, mount: Mount, isPrivileged: boolean): void {
  const { mountPropagation: propagation, recursiveReadOnly: recursion } = mount
  if (propagation !== undefined) {
    const field = `${list}.mountPropagation`
    if (!PROPAGATIONS.includes(propagation)) out.push(notSupported(field, propagation, PROPAGATIONS))
    else if (propagation === 'Bidirectional' && !isPrivileged) {
      const detail = 'Bidirectional mount propagation is available only to privileged containers'
      out.push(forbidden(field, detail))
    }
  }
  if (recursion === undefined || recursion === 'Disabled') return
  const field = `${list}.recursiveReadOnly`
  if (!RECURSIONS.includes(recursion)) {
    out.push(notSupported(field, recursion, RECURSIONS))
    return
  }
  if (mount.readOnly !== true) out.push(forbidden(field, 'may only be specified when readOnly is true'))
  if (propagation !== undefined && propagation !== 'None') {
    out.push(forbidden(field, 'may only be specified when mountPropagation is None or not specified'))
  }
}

function checkDevices(out: Problems, list: string, container: Container, volumes: Volumes): void {
  const mounts = container.volumeMounts ?? []
  const names = new Set<string>()
  const paths = new Set<string>()
  for (const [index, device] of (container.volumeDevices ?? []).entries()) {
    const field = at(list, index)
    checkDeviceName(out, `${field}.name`, device, { names, volumes })
    const { devicePath = '' } = device
    if (devicePath === '') out.push(required(`${field}.devicePath`))
    if (paths.has(devicePath)) out.push(invalid(`${field}.devicePath`, devicePath, 'must be unique'))
    if (devicePath.split('/').includes('..')) {
      out.push(invalid(`${field}.devicePath`, devicePath, "can not contain backsteps ('..')"))
    } else paths.add(devicePath)
    if (mounts.some(mount => mount.name === device.name)) {
      out.push(invalid(`${field}.name`, device.name, 'must not already exist in volumeMounts'))
    }
    if (mounts.some(mount => mount.mountPath === devicePath)) {
      const detail = 'must not already exist as a path in volumeMounts'
      out.push(invalid(`${field}.devicePath`, devicePath, detail))
    }
  }
}

function checkDeviceName(
  out: Problems,
  field: string,
  { name = '' }: Device,
  { names, volumes }: { names: Set<string>; volumes: Volumes },
): void {
  const volume = volumes.get(name)
  if (name === '') out.push(required(field))
  if (names.has(name)) out.push(invalid(field, name, 'must be unique'))
  if (volume && !volume.persistentVolumeClaim && !volume.ephemeral) {
    const detail = 'can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode'
    out.push(invalid(field, name, detail))
  }
  if (!volume) out.push(notFoundField(field, name))
  if (name !== '') names.add(name)
}
