/**
 * The form of model.json, between `scripts/generate-model.ts` and `model.ts`. Type codes: `s` string, `b` bytes,
 * `i` and `l` integers of 32 and 64 bits, `n` number, `f` boolean, `t` time, `m` micro-time, `q` quantity, `x`
 * int-or-string, `a` any, `[code` list, `{code` map, `@index` the type at that index.
 */

export interface FieldExtrasJson {
  /** Default. */
  readonly d?: unknown
  /** The default is unpublished. */
  readonly u?: 1
  /** The published default, when it is another. */
  readonly p?: unknown
  /** 0 counts as omitted. */
  readonly z?: 1
  /** A zero value is left out. */
  readonly o?: 1
  readonly mk?: string
  readonly ps?: readonly ('merge' | 'replace' | 'retainKeys')[]
  readonly lt?: 'atomic' | 'set' | 'map'
  readonly lk?: readonly string[]
  readonly mt?: 'atomic' | 'granular'
  readonly e?: readonly string[]
}

export type FieldJson = readonly [
  name: string,
  code: string,
  required: 0 | 1,
  extras?: FieldExtrasJson | undefined,
]

export interface TypeJson {
  readonly n: string
  readonly f: readonly FieldJson[]
  readonly mt?: 'atomic' | 'granular'
  /** Group, version, kind. */
  readonly k?: readonly [group: string, version: string, kind: string]
}

export type SubresourceJson = readonly [
  name: string,
  group: string,
  version: string,
  kind: string,
  verbs: readonly string[],
]

export interface ResourceJson {
  readonly g: string
  readonly v: string
  readonly r: string
  readonly k: string
  readonly l: string
  readonly n: 0 | 1
  readonly verbs: readonly string[]
  readonly short: readonly string[]
  readonly cat: readonly string[]
  readonly sub: readonly SubresourceJson[]
  readonly t: number
  readonly st?: readonly [group: string, version: string, resource: string]
}

export interface ModelJson {
  readonly types: readonly TypeJson[]
  readonly resources: readonly ResourceJson[]
}
