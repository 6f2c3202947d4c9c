/** `mk8s node set-address`: the machine has another IP address than the one that the node was installed with. */
import * as Args from '@oclif/core/args'
import { Mk8sError } from '../../base/errors.ts'
import { Flags } from '../../cli/flags.ts'
import { print, printJson, remark } from '../../cli/terminal.ts'
import { startNode, stopNode, waitForStart } from '../../client/lifecycle.ts'
import { nodeConfigPath, readNodeConfig, renderNodeConfig } from '../../config/config-files.ts'
import { moveKubeconfig, moveNode } from '../../config/moved-node.ts'
import type { NodeConfig } from '../../config/node-config.ts'
import {
  parsePeerAddress,
  peerAddressesPath,
  readPeerAddresses,
  renderPeerAddresses,
} from '../../config/peer-addresses.ts'
import { readIfThere, writeFileDurably } from '../../host/files.ts'
import { nodePaths } from '../../host/node-files.ts'
import { isOwnAddress, ownAddresses } from '../../host/own-address.ts'
import { lifecycleOf, mustBeRoot, NodeCommand, timeoutFlag } from '../base-command.ts'

export class NodeSetAddress extends NodeCommand {
  static override summary = "Tell the node its machine's new IP address."
  static override description =
    'Changes the configuration, certificates and kubeconfig of this node and starts its daemon again, which tells ' +
    'the cluster. While most servers of the datastore keep their addresses, this is all. When all of them have ' +
    'moved, run it on each with --peer for the others, so that they find each other. The host name of the machine ' +
    'may change at any time: the name of the node is the one it was installed with.'
  static override examples = [
    '<%= config.bin %> node set-address 192.0.2.21',
    '<%= config.bin %> node set-address 192.0.2.21 --peer node-2=192.0.2.22 --peer node-3=192.0.2.23',
  ]
  static override args = {
    address: Args.string({ description: 'The new address, IPv4 or IPv6.', required: true }),
  }
  static override flags = {
    peer: Flags.string({
      description: 'Where another server of the cluster is found now.',
      helpValue: 'NAME=ADDRESS',
      multiple: true,
      multipleNonGreedy: true,
    }),
    timeout: timeoutFlag('How long to wait until the node is Ready.'),
  }

  async run(): Promise<number> {
    const { args, flags } = await this.parse(NodeSetAddress)
    mustBeRoot('node set-address')
    const config = readNodeConfig(flags['data-dir'])
    const moved = moveNode(config, args.address)
    const peers = Object.fromEntries((flags.peer ?? []).map(parsePeerAddress))
    if (!(await isOwnAddress(args.address))) throw notOwn(args.address)
    const parts = await lifecycleOf(config.dataDir)
    await stopNode(parts, { workloads: false })
    writeMoved(config, moved, peers)
    const started = await startNode(parts)
    if (!flags.json) remark('The daemon is started; waiting for the cluster.')
    await waitForStart(parts, { started, timeoutMs: flags.timeout * 1000 })
    const { nodeName, bindAddress } = moved
    if (flags.json) printJson({ nodeName, bindAddress, before: config.bindAddress })
    else print(`The node ${nodeName} is Ready at ${bindAddress}.`)
    return 0
  }
}

/** The configuration comes last: until it is written, the same command does everything again. */
function writeMoved(config: NodeConfig, moved: NodeConfig, peers: Record<string, string>): void {
  const { dataDir } = config
  if (Object.keys(peers).length > 0) {
    const all = { ...readPeerAddresses(dataDir), ...peers }
    writeFileDurably(peerAddressesPath(dataDir), renderPeerAddresses(all), 0o600)
  }
  const { kubeconfig } = nodePaths(dataDir)
  const text = readIfThere(kubeconfig)
  if (text !== undefined)
    writeFileDurably(kubeconfig, moveKubeconfig(text, config.bindAddress, moved.bindAddress), 0o600)
  writeFileDurably(nodeConfigPath(dataDir), renderNodeConfig(moved), 0o600)
}

function notOwn(address: string): Mk8sError {
  const present = ownAddresses()
  return new Mk8sError('config/invalid', `${address} is on no network interface of this machine`, {
    ...(present.length > 0 && { why: `it has ${present.join(', ')}` }),
    hint: 'nothing was changed',
  })
}
