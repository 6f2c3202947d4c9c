/** Runs network plugins as CNI says it: each of a list in turn with what the one before answered, and back again. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Mk8sError, messageOf } from '../../../../base/errors.ts'
import { runBriefly } from '../../../../host/brief-programs.ts'
import { findExecutable } from '../../../../host/find-program.ts'
import { chosenNetworkFile } from '../pod-network.ts'
import {
  type CniArguments,
  type CniPlugin,
  type CniResult,
  type NetworkConfig,
  parseNetworkConfig,
  pluginConfig,
  pluginsFor,
} from './cni-config.ts'
import { PROGRAM_ENVIRONMENT } from './conmon.ts'

export interface CniParts {
  /** Directory of the configurations. */
  readonly configs: string
  /** Directories of the plugins, with colons between them. */
  readonly plugins: string
  /** Words in front of a plugin's; the daemon's own network unless given. */
  readonly enter: readonly string[]
}

/** All that it takes to undo it, even if the configuration has changed meanwhile. */
export interface CniAttachment {
  readonly network: string
  readonly cniVersion: string
  readonly plugins: readonly CniPlugin[]
  readonly arguments: CniArguments
  readonly result: CniResult | null
}

const PLUGIN_MS_MAX = 60_000

/** The first by name counts; undefined while there is none. */
export async function configFile({ configs }: Pick<CniParts, 'configs'>): Promise<string | undefined> {
  const names = await readdir(configs).catch(() => [])
  return chosenNetworkFile(names)
}

/** What is about to be attached, to be remembered before it is. */
export async function planAttachment(
  parts: CniParts,
  args: CniArguments,
  chosen?: NetworkConfig,
): Promise<CniAttachment> {
  const config = chosen ?? (await ownNetwork(parts))
  const plugins = pluginsFor(config.plugins, args)
  return { network: config.name, cniVersion: config.cniVersion, plugins, arguments: args, result: null }
}

/** The node's. */
export async function ownNetwork(parts: Pick<CniParts, 'configs'>): Promise<NetworkConfig> {
  const first = await configFile(parts)
  if (first === undefined) {
    throw new Mk8sError('kubelet/runtime', 'no network configuration yet', {
      why: `there is none in ${parts.configs}`,
      hint: 'it is written as soon as the node knows its part of the pod network',
    })
  }
  return parseNetworkConfig(await readFile(join(parts.configs, first), 'utf8'), first)
}

export async function attach(parts: CniParts, plan: CniAttachment): Promise<CniAttachment> {
  let result: CniResult | null = null
  for (const plugin of plan.plugins) result = await run(parts, 'ADD', { ...plan, result }, plugin)
  return { ...plan, result }
}

/** Goes on after a failure, so that as much as possible is given back; throws the first in the end. */
export async function detach(parts: CniParts, attachment: CniAttachment): Promise<void> {
  const failures: unknown[] = []
  for (const plugin of attachment.plugins.toReversed()) {
    await run(parts, 'DEL', attachment, plugin).catch(error => failures.push(error))
  }
  if (failures.length > 0) throw failures[0]
}

/** What is left to do where a plugin cannot undo its own work: whoever gave the addresses takes them back. */
export async function releaseAddresses(parts: CniParts, attachment: CniAttachment): Promise<void> {
  for (const plugin of attachment.plugins.toReversed()) {
    const { type } = (plugin['ipam'] ?? {}) as { readonly type?: unknown }
    if (typeof type === 'string') await run(parts, 'DEL', attachment, plugin, type)
  }
}

/** Throws where there is none. */
export function findPlugin(plugins: string, type: string): string {
  const found = /[/\0]/.test(type) ? undefined : findExecutable(type, plugins.split(':'))
  if (found !== undefined) return found
  throw new Mk8sError('kubelet/runtime', `failed to find plugin ${JSON.stringify(type)} in path [${plugins}]`)
}

async function run(
  { plugins, enter }: CniParts,
  command: 'ADD' | 'DEL',
  attachment: CniAttachment,
  plugin: CniPlugin,
  type = plugin.type,
): Promise<CniResult> {
  const { arguments: args } = attachment
  const [program = '', ...words] = [...enter, findPlugin(plugins, type)]
  const ran = await runBriefly(program, words, {
    timeoutMs: PLUGIN_MS_MAX,
    input: JSON.stringify(pluginConfig(attachment, plugin)),
    env: {
      ...PROGRAM_ENVIRONMENT,
      CNI_COMMAND: command,
      CNI_CONTAINERID: args.containerId,
      CNI_NETNS: args.netns,
      CNI_IFNAME: args.interfaceName,
      CNI_PATH: plugins,
      CNI_ARGS: Object.entries({ IgnoreUnknown: '1', ...args.pod })
        .map(([key, value]) => `${key}=${value}`)
        .join(';'),
    },
  })
  if (ran.exitCode === 0) return command === 'ADD' ? parseAnswer(ran.stdout, plugin) : {}
  const said = errorIn(ran.stdout) || ran.stderr.trim() || `exit code ${ran.exitCode}`
  throw new Mk8sError(
    'kubelet/runtime',
    `plugin type=${JSON.stringify(type)} name=${JSON.stringify(attachment.network)} failed (${
      COMMANDS[command]
    }): ${said}`,
  )
}

const COMMANDS = { ADD: 'add', DEL: 'delete' } as const

function parseAnswer(text: string, { type }: CniPlugin): CniResult {
  try {
    return JSON.parse(text) as CniResult
  } catch (error) {
    throw new Mk8sError('kubelet/runtime', `the network plugin ${type} gave no answer`, {
      why: messageOf(error),
      cause: error,
    })
  }
}

function errorIn(text: string): string {
  try {
    const { msg = '', details = '' } = JSON.parse(text) as { msg?: string; details?: string }
    return details === '' ? msg : `${msg}; ${details}`
  } catch {
    return ''
  }
}
