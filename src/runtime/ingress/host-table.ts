/** Things by host name: exact names, wildcards by their suffix, and one for all; asked from the most specific on. Pure. */

export class HostTable<T> {
  readonly #exact = new Map<string, T>()
  /** By `.example.com` for `*.example.com`. */
  readonly #wildcards = new Map<string, T>()
  #any: T | undefined

  /** What is under this name, made unless it is there. An empty name is every host. */
  at(host: string, make: () => T): T {
    if (host === '') {
      this.#any ??= make()
      return this.#any
    }
    const [map, key] = host.startsWith('*.') ? [this.#wildcards, host.slice(1)] : [this.#exact, host]
    const found = map.get(key)
    if (found !== undefined) return found
    const made = make()
    map.set(key, made)
    return made
  }

  /**
   * The most specific first. A wildcard is one label of an Ingress (`isDeep` false), and any number of them in the
   * Gateway API.
   */
  find(host: string, isDeep: boolean): T[] {
    const found: T[] = []
    const exact = this.#exact.get(host)
    if (exact !== undefined) found.push(exact)
    for (let dot = host.indexOf('.'); dot > 0; dot = host.indexOf('.', dot + 1)) {
      const wildcard = this.#wildcards.get(host.slice(dot))
      if (wildcard !== undefined) found.push(wildcard)
      if (!isDeep) break
    }
    if (this.#any !== undefined) found.push(this.#any)
    return found
  }
}

/** How exactly a name fits a host: 0 not at all, then the longer the better, and exact before wildcards. */
export function hostFit(pattern: string, host: string, isDeep: boolean): number {
  if (pattern === '') return 1
  if (pattern === host) return 1_000
  if (!pattern.startsWith('*.')) return 0
  const suffix = pattern.slice(1)
  if (!host.endsWith(suffix) || host.length === suffix.length) return 0
  return isDeep || !host.slice(0, -suffix.length).includes('.') ? 1 + suffix.length : 0
}

/** What both a listener's and a route's name cover, or null when that is nothing. Empty names cover all. */
export function intersectHosts(a: string, b: string): string | null {
  if (a === '' || a === b) return b
  if (b === '') return a
  if (hostFit(a, b.startsWith('*.') ? `x${b.slice(1)}` : b, true) > 1) return b
  if (hostFit(b, a.startsWith('*.') ? `x${a.slice(1)}` : a, true) > 1) return a
  return null
}
