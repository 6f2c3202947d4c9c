/** `mk8s registry list`: what the cluster knows of registries, without any secret. */
import { print, printJson, remark } from '../../cli/terminal.ts'
import type { OwnedRegistries } from '../../client/registries.ts'
import { PEOPLE } from '../../kube/registries/registries.ts'
import { ClusterCommand } from '../base-command.ts'

interface Row {
  readonly registry: string
  readonly mirrors: readonly string[]
  /** `credentials`, `authority`, `certificate`, `not verified`. */
  readonly settings: readonly string[]
  /** Of whom it is; `registries` for people. */
  readonly owner: string
}

export class RegistryList extends ClusterCommand {
  static override summary = 'List what the cluster knows of registries: mirrors, certificates, credentials.'

  async run(): Promise<number> {
    const { flags } = await this.parse(RegistryList)
    const [{ inCluster }, { listRegistries }, { renderColumns }] = await Promise.all([
      import('./in-cluster.ts'),
      import('../../client/registries.ts'),
      import('../../cli/columns.ts'),
    ])
    const { owners, problems } = await inCluster(flags, listRegistries)
    const rows = owners.flatMap(rowsOf)
    for (const problem of problems) remark(`Warning: ${problem}`)
    if (flags.json) printJson(rows)
    else if (rows.length === 0) print('nothing is configured: every registry is asked itself')
    else print(renderColumns([['REGISTRY', 'MIRRORS', 'SETTINGS', 'OWNER'], ...rows.map(cells)]))
    return 0
  }
}

const cells = ({ registry, mirrors, settings, owner }: Row): string[] => [
  registry,
  mirrors.join(',') || '-',
  settings.join(',') || '-',
  owner === PEOPLE ? '-' : owner,
]

function rowsOf({ owner, document: { mirrors = {}, configs = {} } }: OwnedRegistries): Row[] {
  const hosts = [...new Set([...Object.keys(mirrors), ...Object.keys(configs)])].sort()
  return hosts.map(registry => {
    const { auth, tls = {} } = configs[registry] ?? {}
    const settings = [
      ...(auth === undefined ? [] : ['credentials']),
      ...(tls.ca === undefined ? [] : ['authority']),
      ...(tls.cert === undefined ? [] : ['certificate']),
      ...(tls.insecure_skip_verify === true ? ['not verified'] : []),
    ]
    return { registry, mirrors: mirrors[registry]?.endpoint ?? [], settings, owner }
  })
}
