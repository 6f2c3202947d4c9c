/** `mk8s status`: what runs, and what is wrong if something is. */
import { systemClock } from '../base/clock.ts'
import { EXIT_OK, errorCodes, Mk8sError } from '../base/errors.ts'
import { targetOf } from '../cli/cluster-target.ts'
import { Flags } from '../cli/flags.ts'
import { renderNotRunning, renderStatus, type StatusFormat, statusFormats } from '../cli/status-view.ts'
import { paintFor, print } from '../cli/terminal.ts'
import type { WatchParts } from '../cli/watch-status.ts'
import { createAdminClient } from '../client/admin-client.ts'
import type { NodeStatus } from '../client/node-status.ts'
import { findLostSocket, nodePaths, readFailure } from '../host/node-files.ts'
import { ClusterCommand, timeoutFlag } from './base-command.ts'

const EXIT_NOT_READY = 1

interface RemoteFlags {
  readonly watch: boolean
  readonly 'wait-ready': boolean
  readonly timeout: number
  readonly addon?: string | undefined
}

export class Status extends ClusterCommand {
  static override summary = 'Show whether the node runs and what is wrong if it does not.'
  static override description =
    'Exit codes: 0 ready · 1 running but not ready · 3 the datastore has no leader · 4 not running · ' +
    '5 --wait-ready ran out of time.'
  static override examples = [
    '<%= config.bin %> status',
    '<%= config.bin %> status --wait-ready --timeout 60',
    '<%= config.bin %> status --format yaml',
    '<%= config.bin %> status --watch',
  ]
  static override flags = {
    format: Flags.string({ description: 'How to show it.', options: [...statusFormats], default: 'pretty' }),
    yaml: Flags.boolean({ description: 'Short for --format yaml.', hidden: true }),
    'wait-ready': Flags.boolean({ char: 'w', description: 'Wait until the node is Ready.' }),
    timeout: timeoutFlag('How long --wait-ready waits.'),
    watch: Flags.boolean({
      description: 'Show it again and again until interrupted; in a pipe a line when something changes.',
    }),
    addon: Flags.string({
      char: 'a',
      description: 'Say of one add-on whether it is enabled.',
      helpValue: 'NAME',
    }),
  }

  async run(): Promise<number> {
    const { flags } = await this.parse(Status)
    const { dataDir, cluster } = await targetOf(flags)
    const format = flags.json ? 'json' : flags.yaml ? 'yaml' : (flags.format as StatusFormat)
    if (cluster !== undefined) return this.#showRemote(cluster, format, flags)
    if (flags['wait-ready']) {
      const { waitUntilReady } = await import('../client/lifecycle.ts')
      return this.#show(
        await waitUntilReady(
          { dataDir, clock: systemClock },
          { timeoutMs: flags.timeout * 1000, failFast: false },
        ),
        format,
        flags,
      )
    }
    if (flags.watch) return watch(() => currentStatus(dataDir), format)
    const status = await currentStatus(dataDir)
    if (status !== undefined) return this.#show(status, format, flags)
    const failure = readFailure(dataDir)
    // To start a node that was taken out of its cluster leads nowhere.
    const next = failure?.code === 'node/removed' ? failure.hint : undefined
    print(renderNotRunning(format, reasonOf(failure), next))
    return errorCodes['node/not-running'].exit
  }

  async #showRemote(cluster: string, format: StatusFormat, flags: RemoteFlags): Promise<number> {
    const [{ openTarget }, { readRemoteStatus, waitUntilRemoteReady }] = await Promise.all([
      import('../cli/cluster-target.ts'),
      import('../client/remote-status.ts'),
    ])
    const { transport } = await openTarget(cluster)
    const read = () => readRemoteStatus(transport, cluster)
    try {
      if (flags.watch) return await watch(read, format)
      const timeoutMs = flags['wait-ready'] ? flags.timeout * 1000 : 0
      return await this.#show(
        await waitUntilRemoteReady(read, { timeoutMs, clock: systemClock }),
        format,
        flags,
      )
    } finally {
      transport.close()
    }
  }

  async #show(
    status: NodeStatus,
    format: StatusFormat,
    { addon }: { addon?: string | undefined },
  ): Promise<number> {
    if (addon !== undefined) print(addonState(status, addon))
    else print(renderStatus(status, format, await paintFor(process.stdout)))
    if (status.datastore?.healthy === false) return errorCodes['store/no-leader'].exit
    return status.ready ? EXIT_OK : EXIT_NOT_READY
  }
}

async function watch(read: WatchParts['read'], format: StatusFormat): Promise<number> {
  const { watchStatus } = await import('../cli/watch-status.ts')
  const interrupted = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.abort())
  return watchStatus({
    read,
    format,
    isTerminal: process.stdout.isTTY === true,
    paint: await paintFor(process.stdout),
    write: text => void process.stdout.write(text),
    clock: systemClock,
    signal: interrupted.signal,
  })
}

/** Undefined when the node is installed but its daemon does not run. */
async function currentStatus(dataDir: string): Promise<NodeStatus | undefined> {
  try {
    return await createAdminClient(nodePaths(dataDir).adminSocket).status()
  } catch (error) {
    if (!(error instanceof Mk8sError) || error.code !== 'node/not-running') throw error
    const { readNodeConfig } = await import('../config/config-files.ts')
    readNodeConfig(dataDir)
    const lost = findLostSocket(dataDir)
    if (lost !== undefined) throw lost
    return undefined
  }
}

const reasonOf = (failure: Mk8sError | undefined): string =>
  [failure?.message, failure?.why].filter(text => text !== undefined && text !== '').join('\n')

function addonState({ addons }: NodeStatus, name: string): string {
  const addon = addons.find(each => each.name === name || `${each.repository}/${each.name}` === name)
  if (addon === undefined)
    throw new Mk8sError('usage', `there is no add-on ${name}`, { hint: 'mk8s status lists them' })
  return addon.enabled ? 'enabled' : 'disabled'
}
