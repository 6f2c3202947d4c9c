/**
 * This node's range of pod addresses: given by the cluster with the Node object, and kept on disk, so that a node
 * that starts again needs nobody to know it.
 */
import { readIfThere, writeFileDurably } from '../../host/files.ts'
import { parseCidr } from '../../kube/cidr.ts'

type Listener = (cidrs: readonly string[]) => void

export class PodRange {
  readonly #path: string
  readonly #listeners = new Set<Listener>()
  /** Of IPv4, then of IPv6 where the cluster has both; empty until it has given some. */
  #cidrs: readonly string[]
  #mtu: number | null

  constructor(path: string) {
    this.#path = path
    const [kept = '', mtu = ''] = (readIfThere(path) ?? '').split('\n').map(line => line.trim())
    // A damaged file is as good as none: the Node object has the range too.
    this.#cidrs = rangesIn(kept)
    this.#mtu = /^[1-9]\d{2,4}$/.test(mtu) ? Number(mtu) : null
  }

  /** `10.1.3.0/24`; null until the cluster has given one. */
  get cidr(): string | null {
    return this.#cidrs[0] ?? null
  }

  /** That and the one of the other family. */
  get cidrs(): readonly string[] {
    return this.#cidrs
  }

  /** How much pods may send at once; null while nobody has found out. */
  get mtu(): number | null {
    return this.#mtu
  }

  /** Called at each change; returns an unsubscribe. */
  onChange(listener: Listener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** What the Node object says. Pods that run keep their addresses; new ones get theirs out of the new range. */
  set(cidrs: readonly string[]): void {
    const text = cidrs.join(',')
    if (text !== this.#cidrs.join(',') && rangesIn(text).length > 0) this.#keep(cidrs, this.#mtu)
  }

  /** As the node's network has it; for pods from now on. */
  setMtu(mtu: number): void {
    if (mtu !== this.#mtu) this.#keep(this.#cidrs, mtu)
  }

  #keep(cidrs: readonly string[], mtu: number | null): void {
    writeFileDurably(this.#path, `${cidrs.join(',')}\n${mtu ?? ''}\n`, 0o600)
    this.#cidrs = cidrs
    this.#mtu = mtu
    if (cidrs.length > 0) for (const listener of this.#listeners) listener(cidrs)
  }
}

function rangesIn(text: string): readonly string[] {
  const cidrs = text.split(',')
  return cidrs.every(cidr => parseCidr(cidr) !== null) ? cidrs : []
}
