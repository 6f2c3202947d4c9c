/**
 * oclif without a file system: its configuration out of an explicit map of commands, which works from the
 * sources, in one bundled file and in the executable alike.
 */
import type { Command } from '@oclif/core/command'
import { Config, Plugin } from '@oclif/core/config'
import type { PJSON } from '@oclif/core/interfaces'
import { must } from '../base/assert.ts'
import { MK8S_VERSION } from '../config/version.ts'

/** A command that can be made, as `Command` itself cannot. */
export type CommandClass = typeof Command & (new (argv: string[], config: Config) => Command)
export type CommandMap = Readonly<Record<string, () => Promise<CommandClass>>>

const NAME = 'mk8s'

const pjson = {
  name: NAME,
  version: MK8S_VERSION,
  description: 'One executable that turns a machine into a Kubernetes cluster.',
  dependencies: {},
  oclif: {
    bin: NAME,
    dirname: NAME,
    topicSeparator: ' ',
    topics: {
      addons: { description: 'What can be enabled, what is, and where more comes from.' },
      'addons:repo': { description: 'Repositories of add-ons: directories, archives and git URLs.' },
      backup: { description: 'Look into backups, and have them made by schedule.' },
      'backup:schedule': { description: 'Backups that are made by themselves.' },
      cluster: { description: 'Clusters elsewhere that are managed from here.' },
      images: { description: 'Images of containers on this node.' },
      registry: { description: 'Where the nodes get images: mirrors, certificates and credentials.' },
      options: { description: 'What can be configured.' },
      datastore: { description: 'Look at and tend the replicated datastore.' },
    },
  },
} as unknown as PJSON

/** `withHelp` loads every command, for the sake of their descriptions; running one needs none of the others. */
export async function oclifConfig(commands: CommandMap, options: { withHelp: boolean }): Promise<Config> {
  // The directory is only asked for by discovery, which is replaced below.
  const root = '/'
  const plugin = new Plugin({ root, isRoot: true, pjson, ignoreManifest: true, name: NAME } as never)
  const ids = options.withHelp ? Object.keys(commands) : []
  const loaded = new Map<string, CommandClass>()
  for (const id of ids) loaded.set(id, await load(commands, id, plugin))
  const replaced = plugin as unknown as Record<string, unknown>
  replaced['getCommandIDs'] = async () => ids
  replaced['findCommand'] = async (id: string) => loaded.get(id)
  if (!options.withHelp) replaced['_manifest'] = async () => ({ version: MK8S_VERSION, commands: {} })
  await plugin.load()
  const config = new Config({
    root,
    pjson,
    plugins: new Map([[NAME, plugin]]),
    userPlugins: false,
    devPlugins: false,
  } as never)
  await config.load()
  return config
}

async function load(commands: CommandMap, id: string, plugin: Plugin): Promise<CommandClass> {
  const command = must(await commands[id]?.(), `command ${id}`)
  command.id = id
  command.plugin = plugin
  return command
}
