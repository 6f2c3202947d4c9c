/** What `mk8s node set-address` changes in a node's files. Pure. */
import { bracketed } from '../base/bracketed.ts'
import type { NodeConfig } from './node-config.ts'
import { invalidConfig } from './resolve.ts'
import { parseHostPort, problemWith } from './values.ts'

/** The configuration with the new address, wherever the old one stood. Throws `config/invalid`. */
export function moveNode(config: NodeConfig, address: string): NodeConfig {
  const problem = problemWith('address', address)
  if (problem !== undefined) throw invalidConfig([problem])
  const { bindAddress, etcdListen } = config
  const etcd = parseHostPort(etcdListen)
  const movesEtcd = etcd !== undefined && etcd.host === bindAddress
  return {
    ...config,
    bindAddress: address,
    etcdListen: movesEtcd ? `${bracketed(address)}:${etcd.port}` : etcdListen,
  }
}

/** The kubeconfig with the new address in every `server:` that had the old one. */
export function moveKubeconfig(text: string, from: string, to: string): string {
  const host = bracketed(from).replaceAll(/[.[\]]/g, '\\$&')
  return text.replaceAll(new RegExp(`(\\bserver: *"?https://)${host}(?=[:/"\\s])`, 'g'), `$1${bracketed(to)}`)
}
