/** What all commands share: the global flags, and the node that they speak of. */
import { resolve } from 'node:path'
import { Command } from '@oclif/core/command'
import { systemClock } from '../base/clock.ts'
import { Mk8sError } from '../base/errors.ts'
import { secondsIn } from '../cli/duration.ts'
import { Flags } from '../cli/flags.ts'
import type { LifecycleParts } from '../client/lifecycle.ts'
import { CLUSTER_ENV, DATA_DIR_DEFAULT, DATA_DIR_ENV } from '../config/options.ts'
import { asAdministrator, isAdministrator, system } from '../host/system.ts'

export const READY_TIMEOUT_S = 120

export abstract class NodeCommand extends Command {
  static override baseFlags = {
    'data-dir': Flags.string({
      description: "The node's directory.",
      env: DATA_DIR_ENV,
      default: DATA_DIR_DEFAULT,
      helpValue: 'DIR',
      helpGroup: 'GLOBAL',
      parse: async (text: string) => resolve(text),
    }),
    debug: Flags.boolean({ description: 'Show the stack of an error.', helpGroup: 'GLOBAL' }),
    json: Flags.boolean({ description: 'Results and errors as JSON.', helpGroup: 'GLOBAL' }),
  }

  /** Returns the exit code; errors are thrown and reported by the caller. */
  abstract override run(): Promise<number>

  protected override async catch(error: Error): Promise<never> {
    throw error
  }
}

/** Speaks of a cluster, which need not be that of the node here. */
export abstract class ClusterCommand extends NodeCommand {
  static override baseFlags = {
    ...NodeCommand.baseFlags,
    cluster: Flags.string({
      description: 'A cluster elsewhere, as mk8s cluster add names it, and not that of the node here.',
      env: CLUSTER_ENV,
      helpValue: 'NAME',
      helpGroup: 'GLOBAL',
    }),
  }
}

const TIMEOUT_S_MAX = 86_400

/** Seconds, or a span: `90`, `90s`, `2m`. */
export const timeoutFlag = (meaning: string) =>
  Flags.custom<number>({
    char: 't',
    description: meaning,
    default: READY_TIMEOUT_S,
    helpValue: 'SECONDS',
    parse: async text => {
      const seconds = /^\d{1,9}$/.test(text) ? Number(text) : secondsIn(text, '--timeout')
      if (seconds <= TIMEOUT_S_MAX) return seconds
      throw new Mk8sError('usage', `--timeout ${text} is longer than a day`)
    },
  })()

export const yesFlag = Flags.boolean({ char: 'y', description: 'Do not ask.' })

export function mustBeRoot(command: string): void {
  if (isAdministrator()) return
  const rights = system === 'windows' ? 'an administrator' : 'root'
  throw new Mk8sError('host/not-root', `${command} needs ${rights}`, {
    hint: asAdministrator(system, `mk8s ${command}`),
  })
}

export interface NodeLifecycle extends LifecycleParts {
  /** As `endContainers`, and removes what a runtime that is not the node's own remembers of them. */
  readonly forgetContainers: () => Promise<void>
}

/** The node's lifecycle, for a directory in which it is installed. */
export async function lifecycleOf(dataDir: string): Promise<NodeLifecycle> {
  const { createService } = await import('../host/service.ts')
  const end = async (forgets: boolean) => {
    const { endNodeContainers } = await import('../runtime/node-leftovers.ts')
    await endNodeContainers(dataDir, { clock: systemClock, forgets })
  }
  return {
    dataDir,
    clock: systemClock,
    service: createService({ dataDir, clock: systemClock }),
    endContainers: () => end(false),
    forgetContainers: () => end(true),
  }
}
