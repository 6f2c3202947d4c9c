/**
 * This node's range of pod addresses: given by the cluster with the Node object, and kept on disk, so that a node
 * that starts again needs nobody to know it.
 */
import { readIfThere, writeFileDurably } from '../../host/files.ts'
import { parseCidr } from '../../kube/cidr.ts'

type Listener = (cidr: string) => void

export class PodRange {
  readonly #path: string
  readonly #listeners = new Set<Listener>()
  #cidr: string | null
  #mtu: number | null

  constructor(path: string) {
    this.#path = path
    const [kept = '', mtu = ''] = (readIfThere(path) ?? '').split('\n').map(line => line.trim())
    // A damaged file is as good as none: the Node object has the range too.
    this.#cidr = parseCidr(kept) === null ? null : kept
    this.#mtu = /^[1-9]\d{2,4}$/.test(mtu) ? Number(mtu) : null
  }

  /** `10.1.3.0/24`; null until the cluster has given one. */
  get cidr(): string | null {
    return this.#cidr
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
  set(cidr: string): void {
    if (cidr !== this.#cidr && parseCidr(cidr) !== null) this.#keep(cidr, this.#mtu)
  }

  /** As the node's network has it; for pods from now on. */
  setMtu(mtu: number): void {
    if (mtu !== this.#mtu) this.#keep(this.#cidr, mtu)
  }

  #keep(cidr: string | null, mtu: number | null): void {
    writeFileDurably(this.#path, `${cidr ?? ''}\n${mtu ?? ''}\n`, 0o600)
    this.#cidr = cidr
    this.#mtu = mtu
    if (cidr !== null) for (const listener of this.#listeners) listener(cidr)
  }
}
