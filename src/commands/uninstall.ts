/** `mk8s uninstall`: stops the node and leaves nothing of it behind. */
import { existsSync } from 'node:fs'
import { messageOf } from '../base/errors.ts'
import { confirm, print, printJson, remark } from '../cli/terminal.ts'
import { createAdminClient } from '../client/admin-client.ts'
import { stopNode } from '../client/lifecycle.ts'
import { readNodeConfig } from '../config/config-files.ts'
import { readKnownMembers } from '../config/known-members.ts'
import type { NodeConfig } from '../config/node-config.ts'
import { nodePaths, readFailure } from '../host/node-files.ts'
import { removeNodeDirectory } from '../host/remove.ts'
import { lifecycleOf, mustBeRoot, NodeCommand, yesFlag } from './base-command.ts'

export class Uninstall extends NodeCommand {
  static override summary = 'Stop the node and delete everything that belongs to it.'
  static override description =
    'A node of several is taken out of its cluster first, without time for its pods to move; mk8s leave gives it. ' +
    'Where the cluster cannot be told, it says what to do on another server.'
  static override flags = { yes: yesFlag }

  async run(): Promise<number> {
    const { flags } = await this.parse(Uninstall)
    mustBeRoot('uninstall')
    const dataDir = flags['data-dir']
    const parts = await lifecycleOf(dataDir)
    const present = existsSync(dataDir)
    if (present) {
      await confirm(`Delete the node in ${dataDir} with all its data?`, flags)
      await sayFarewell(dataDir)
      await stopNode(parts, { workloads: true })
      await parts.forgetContainers()
    }
    await parts.service.remove()
    const left = present ? removeNodeDirectory(dataDir) : []
    if (flags.json) printJson({ removed: present, left })
    else if (!present) print(`There is no node in ${dataDir}.`)
    else if (left.length === 0) print('mk8s is uninstalled.')
    else print(`mk8s is uninstalled; ${dataDir} holds files that are not its own: ${left.join(', ')}`)
    return 0
  }
}

/** A cluster that is not told keeps a member that never answers. */
async function sayFarewell(dataDir: string): Promise<void> {
  const config = configOf(dataDir)
  if (config === undefined) return
  const { nodeName, role } = config
  const isOneOfSeveral = readKnownMembers(dataDir).some(name => name !== nodeName)
  if (role === 'server' && !isOneOfSeveral) return
  try {
    const client = createAdminClient(nodePaths(dataDir).adminSocket)
    const { datastore } = await client.status()
    if (datastore?.healthy === false) throw new Error(datastore.highAvailability.why)
    await client.removeNode({ force: true, drainMs: 0 })
  } catch (error) {
    if (readFailure(dataDir)?.code === 'node/removed') return
    remark(`The cluster could not be told that ${nodeName} goes: ${messageOf(error)}`)
    remark(`  next: mk8s remove-node ${nodeName} --force, on another server`)
  }
}

/** A damaged configuration is no reason to keep a node. */
function configOf(dataDir: string): NodeConfig | undefined {
  try {
    return readNodeConfig(dataDir)
  } catch {
    return undefined
  }
}
