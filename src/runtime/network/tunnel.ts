/** The tunnel to nodes that are no neighbours, in the kernel: a VXLAN device that knows all its peers. */
import type { runProgram } from '../../host/programs.ts'
import { TUNNEL_DEVICE, type Tunnel, type TunnelPeer } from './plan-routes.ts'

type Run = typeof runProgram

/** Ours alone on this port; others' tunnels use other numbers. */
const NETWORK_ID = 77
const PORT = 8472

interface ListedLink {
  readonly address?: string
  readonly mtu?: number
  readonly linkinfo?: {
    readonly info_data?: { readonly id?: number; readonly local?: string; readonly local6?: string }
  }
}

interface ListedEntry {
  readonly dst?: string
  readonly mac?: string
  readonly lladdr?: string
}

/** Makes the device and its peers equal to the plan; takes it away when there is none. */
export async function setTunnel(run: Run, tunnel: Tunnel | null): Promise<void> {
  const present = await readLink(run)
  if (tunnel === null) {
    if (present !== null) await removeTunnel(run)
    return
  }
  const { id, local6, local = local6 } = present?.linkinfo?.info_data ?? {}
  // Where it begins cannot be changed.
  if (present !== null && (id !== NETWORK_ID || local !== tunnel.outer)) await removeTunnel(run)
  if (present === null || id !== NETWORK_ID || local !== tunnel.outer) await addDevice(run, tunnel)
  await run('ip', ['link', 'set', TUNNEL_DEVICE, 'address', tunnel.mac, 'mtu', String(tunnel.mtu), 'up'])
  if (tunnel.inner !== undefined) {
    await run('ip', ['addr', 'replace', `${tunnel.inner}/32`, 'dev', TUNNEL_DEVICE])
  }
  if (tunnel.inner6 !== undefined) {
    await run('ip', ['addr', 'replace', `${tunnel.inner6}/128`, 'dev', TUNNEL_DEVICE, 'nodad'])
  }
  await setPeers(run, tunnel.peers)
}

export async function removeTunnel(run: Run): Promise<void> {
  await run('ip', ['link', 'delete', TUNNEL_DEVICE], { accept: 'any' })
}

async function addDevice(run: Run, { outer }: Tunnel): Promise<void> {
  const kind = ['type', 'vxlan', 'id', String(NETWORK_ID), 'local', outer, 'dstport', String(PORT)]
  await run('ip', ['link', 'add', TUNNEL_DEVICE, ...kind, 'nolearning'])
}

/** Both tables are ours alone: where a peer's MAC is, and which one its inner address has. */
async function setPeers(run: Run, peers: readonly TunnelPeer[]): Promise<void> {
  const device = ['dev', TUNNEL_DEVICE]
  const ends = await readEntries(run, 'bridge', ['fdb', 'show', ...device])
  const neighbours = await readEntries(run, 'ip', ['neigh', 'show', ...device, 'nud', 'permanent'])
  for (const { mac, inner, inner6, outer } of peers) {
    if (!ends.some(end => end.mac === mac && end.dst === outer)) {
      await run('bridge', ['fdb', 'replace', mac, ...device, 'dst', outer, 'self', 'permanent'])
    }
    for (const address of [inner, inner6].filter(each => each !== undefined)) {
      if (neighbours.some(each => each.dst === address && each.lladdr === mac)) continue
      await run('ip', ['neigh', 'replace', address, 'lladdr', mac, ...device, 'nud', 'permanent'])
    }
  }
  const gone = { accept: 'any' } as const
  for (const { mac = '', dst = '' } of ends) {
    if (!peers.some(peer => peer.mac === mac))
      await run('bridge', ['fdb', 'del', mac, ...device, 'dst', dst], gone)
  }
  for (const { dst = '' } of neighbours) {
    if (!peers.some(peer => peer.inner === dst || peer.inner6 === dst))
      await run('ip', ['neigh', 'del', dst, ...device], gone)
  }
}

async function readLink(run: Run): Promise<ListedLink | null> {
  const { stdout, exitCode } = await run('ip', ['-j', '-d', 'link', 'show', TUNNEL_DEVICE], { accept: 'any' })
  const [link] = exitCode === 0 ? (JSON.parse(stdout) as ListedLink[]) : []
  return link ?? null
}

async function readEntries(run: Run, program: string, args: readonly string[]): Promise<ListedEntry[]> {
  const { stdout } = await run(program, ['-j', ...args])
  return JSON.parse(stdout.trim() || '[]') as ListedEntry[]
}
