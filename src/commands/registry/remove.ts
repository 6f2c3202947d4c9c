/** `mk8s registry remove`: forgets what was said of registries. */
import { Mk8sError } from '../../base/errors.ts'
import { print, printJson } from '../../cli/terminal.ts'
import { PEOPLE, type RegistriesDocument } from '../../kube/registries/registries.ts'
import { ClusterCommand } from '../base-command.ts'

export class RegistryRemove extends ClusterCommand {
  static override summary = 'Forget what was said of registries with registry add.'
  static override strict = false
  static override usage = 'registry remove HOST...'
  static override examples = ['<%= config.bin %> registry remove docker.io mirror.example:5000']

  async run(): Promise<number> {
    const { argv, flags } = await this.parse(RegistryRemove)
    const hosts = argv as string[]
    if (hosts.length === 0)
      throw new Mk8sError('usage', 'registry remove needs a name', { hint: 'mk8s registry list' })
    const [{ inCluster }, { changeRegistries }] = await Promise.all([
      import('./in-cluster.ts'),
      import('../../client/registries.ts'),
    ])
    await inCluster(flags, client => changeRegistries(client, PEOPLE, before => without(before, hosts)))
    if (flags.json) printJson({ removed: hosts })
    else print(hosts.map(host => `registry ${host} removed`).join('\n'))
    return 0
  }
}

function without(
  { mirrors = {}, configs = {} }: RegistriesDocument,
  hosts: readonly string[],
): RegistriesDocument {
  const unknown = hosts.find(host => mirrors[host] === undefined && configs[host] === undefined)
  if (unknown !== undefined) {
    throw new Mk8sError('refused', `nothing was said of the registry ${unknown}`, {
      hint: 'mk8s registry list',
    })
  }
  const left = <T>(entries: Readonly<Record<string, T>>) =>
    Object.fromEntries(Object.entries(entries).filter(([host]) => !hosts.includes(host)))
  return { mirrors: left(mirrors), configs: left(configs) }
}
