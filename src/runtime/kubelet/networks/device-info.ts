/** What a device plugin has written of a device for networks, where the working group's specification has it. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { NetworkDevice } from './plan-networks.ts'

const DIRECTORY = '/var/run/k8s.cni.cncf.io/devinfo/dp'
const BYTES_MAX = 64 * 1024

/** Null: it has written nothing that can be told. */
export async function readDeviceInfo(device: NetworkDevice, directory = DIRECTORY): Promise<object | null> {
  const name = [device.resource, device.id, 'device.json'].map(part => part.replaceAll('/', '-')).join('-')
  const text = await readFile(join(directory, name), 'utf8').catch(() => '')
  if (text === '' || text.length > BYTES_MAX) return null
  try {
    const info: unknown = JSON.parse(text)
    return typeof info === 'object' && info !== null && !Array.isArray(info) ? info : null
  } catch {
    return null
  }
}
