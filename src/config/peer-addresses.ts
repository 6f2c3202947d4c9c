/**
 * `peer-addresses.json`: where other servers are found now, told to `mk8s node set-address` after all of them have
 * moved, so that they find each other again. Tried besides the addresses in their records.
 */
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { Mk8sError, messageOf, systemCodeOf } from '../base/errors.ts'

/** Address by the name of the node. */
export type PeerAddresses = Readonly<Record<string, string>>

export const peerAddressesPath = (dataDir: string): string => join(dataDir, 'peer-addresses.json')

/** Empty when there is no file. */
export function readPeerAddresses(dataDir: string): PeerAddresses {
  const path = peerAddressesPath(dataDir)
  try {
    const parsed = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>
    const entries = Object.entries(parsed).filter(([, address]) => isIP(String(address)) !== 0)
    return Object.fromEntries(entries) as PeerAddresses
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return {}
    throw new Mk8sError('config/unreadable', `${path} cannot be read`, {
      why: messageOf(error),
      hint: 'remove it, and run mk8s node set-address again if the other servers have moved',
      cause: error,
    })
  }
}

export const renderPeerAddresses = (addresses: PeerAddresses): string =>
  `${JSON.stringify(addresses, null, 2)}\n`

/** `NAME=ADDRESS`, as typed in. */
export function parsePeerAddress(text: string): readonly [name: string, address: string] {
  const [, name = '', address = ''] = /^([^=]+)=(.+)$/.exec(text) ?? []
  if (name !== '' && isIP(address) !== 0) return [name, address]
  throw new Mk8sError('usage', `--peer ${text} is not NAME=ADDRESS`, {
    hint: 'for example --peer node-2=192.0.2.12',
  })
}

/** Where a server is found besides what its record says: nowhere, once the record says it too. */
export function movedTo(
  addresses: PeerAddresses,
  record: {
    readonly nodeName: string
    readonly peerAddresses: readonly { readonly host: string; readonly port: number }[]
  },
): readonly { readonly host: string; readonly port: number }[] {
  const host = addresses[record.nodeName]
  const [known] = record.peerAddresses
  return host === undefined || known === undefined || known.host === host ? [] : [{ host, port: known.port }]
}
