/** `mk8s registry gc`: gives back the room of what no image in the cluster's registry needs any more. */
import { systemClock } from '../../base/clock.ts'
import { systemRandom } from '../../base/random.ts'
import { secondsIn } from '../../cli/duration.ts'
import { Flags } from '../../cli/flags.ts'
import { print, printJson } from '../../cli/terminal.ts'
import { ClusterCommand, timeoutFlag } from '../base-command.ts'

const MEBIBYTE = 1024 * 1024

export class RegistryGc extends ClusterCommand {
  static override summary = "Give back the room of what no image in the cluster's registry needs any more."
  static override description =
    'The registry collects by itself too, once a day. Pushes go on meanwhile; what is younger than an hour stays, ' +
    'because a push may be about to refer to it.'
  static override examples = [
    '<%= config.bin %> registry gc',
    '<%= config.bin %> registry gc --untagged --grace 10m',
  ]
  static override flags = {
    untagged: Flags.boolean({ description: 'Manifests without a tag are garbage too.' }),
    grace: Flags.string({ description: 'What is younger stays.', helpValue: 'SPAN', default: '1h' }),
    timeout: timeoutFlag('How long to wait for it.'),
  }

  async run(): Promise<number> {
    const { flags } = await this.parse(RegistryGc)
    const graceMs = secondsIn(flags.grace, '--grace') * 1_000
    const [{ inCluster }, { collectRegistry }] = await Promise.all([
      import('./in-cluster.ts'),
      import('../../client/collect-registry.ts'),
    ])
    const { manifests, blobs, bytes, uploads } = await inCluster(flags, client => {
      const parts = { client, timeoutMs: flags.timeout * 1_000, clock: systemClock, random: systemRandom }
      return collectRegistry(parts, { graceMs, untagged: flags.untagged })
    })
    if (flags.json) printJson({ manifests, blobs, bytes, uploads })
    else {
      const room = `${(bytes / MEBIBYTE).toFixed(1)} MiB`
      print(`collected ${blobs} blobs (${room}), ${manifests} manifests and ${uploads} stale uploads`)
    }
    return 0
  }
}
