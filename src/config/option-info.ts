/** What is known of an option: its key, flag, variable, kind of value, default and help. Pure. */

export type OptionType =
  | 'address'
  | 'cidr'
  | 'domain'
  | 'failure-domain'
  | 'etcd-listen'
  | 'log-level'
  | 'node-name'
  | 'path'
  | 'port'
  | 'port-range'
  | 'runtime'
  | 'socket'
  | 'failover'
  | 'voters'
  | 'file'
  | 'text'
  | 'count'
  | 'duration'
  | 'priority-times'
  | 'thresholds'
  | 'seconds'
  | 'signal-times'
  | 'signal-amounts'
  | 'quantities'
  | 'any-count'
  | 'cpu-policy'
  | 'cpu-list'
  | 'admission-plugins'
  | 'image-verification'

export interface OptionInfo {
  /** The key in its file; a dot stands for nesting. */
  readonly key: string
  readonly kind: 'NodeConfig' | 'ClusterConfig'
  /** Without the leading dashes. */
  readonly flag: string
  readonly env: string
  readonly type: OptionType
  /** As text, as one would type it; null when it is found out on the machine. */
  readonly default: string | null
  /** What the default is, when it is found out on the machine. */
  readonly defaultMeaning?: string
  readonly help: string
}

/** Makes options of one component of a node, under the names that upstream has for them; a variable is named as its flag. */
export const optionsOf =
  (component: 'apiServer' | 'kubelet') =>
  (
    { name, flag, type }: { readonly name: string; readonly flag: string; readonly type: OptionType },
    value: { readonly default: string; readonly meaning?: string },
    help: string,
  ): OptionInfo => ({
    key: `${component}.${name}`,
    kind: 'NodeConfig',
    flag,
    env: `MK8S_${flag.replaceAll('-', '_').toUpperCase()}`,
    type,
    default: value.default,
    ...(value.meaning !== undefined && { defaultMeaning: value.meaning }),
    help,
  })
