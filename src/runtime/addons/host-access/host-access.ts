/**
 * The part `host-access`: one address on the loopback interface of every node, at which its pods reach what listens on
 * the node itself. It is known by its label, and stays while the daemon is away.
 */
import { runProgram } from '../../../host/programs.ts'
import type { Part } from '../part.ts'

const LABEL = 'lo:mk8s'

export const hostAccessPart: Part = {
  name: 'host-access',
  heeds: ['ip'],
  async start({ log }, parameters) {
    const address = String(parameters['ip'])
    const present = await addresses()
    for (const other of present) if (other !== address) await remove(other)
    if (!present.includes(address)) {
      await runProgram('ip', ['address', 'add', `${address}/32`, 'dev', 'lo', 'label', LABEL])
      log.info('pods reach this node at an address of its own', { address })
    }
    return { health: () => ({ ok: true, reason: '' }), stop: async () => {} }
  },
  async cleanUp() {
    for (const address of await addresses()) await remove(address)
  },
}

const remove = async (address: string): Promise<void> => {
  await runProgram('ip', ['address', 'del', `${address}/32`, 'dev', 'lo'])
}

/** Those that bear the label. Where there is no `ip`, there are none. */
async function addresses(): Promise<string[]> {
  const { stdout } = await runProgram('ip', ['-4', '-o', 'address', 'show', 'dev', 'lo'], { accept: 'any' })
  return labelledAddresses(stdout)
}

/** From the output of `ip -o address show`. Pure. */
export function labelledAddresses(output: string): string[] {
  return output.split('\n').flatMap(line => {
    const words = line.replaceAll('\\', ' ').trim().split(/\s+/)
    const address = words[words.indexOf('inet') + 1]
    return words.includes(LABEL) && address !== undefined ? [address.replace(/\/\d+$/, '')] : []
  })
}
