/**
 * Ends everything that the oci runtime of a node runs and takes away what it made outside its directory, when no
 * daemon does: containers, monitors, networks, mounts, control groups. It goes by the records, and then by the names
 * that only this node's things have.
 */
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../../../../base/clock.ts'
import { cniDirectory } from '../../../../host/container-programs.ts'
import { readOrEmpty } from '../../../../host/files.ts'
import { mountsBelow, unmountBelow } from '../../../../host/mounts.ts'
import { currentBootId, identifyProcess, signalProcess, waitUntilGone } from '../../../../host/processes.ts'
import { processesIn, removePodCgroup } from '../cri/pod-cgroups.ts'
import { RecordStore } from '../process/records.ts'
import { detach } from './cni.ts'
import { ociPaths, passageOf } from './oci-paths.ts'
import type { SandboxRecord } from './oci-records.ts'

export interface EndOciParts {
  readonly dataDir: string
  readonly nodeId: string
  /** As in OciRuntime. */
  readonly enter?: readonly string[]
  /** Its records too, as for a node that is uninstalled. */
  readonly forgets: boolean
  readonly clock: Clock
}

const KILL_MS = 5_000
/** How long a monitor may take to note the end of its container. */
const NOTE_MS = 1_000

/** Does nothing where there never was one. May be repeated. */
export async function endOci(parts: EndOciParts): Promise<void> {
  const { dataDir, nodeId, enter = [], forgets, clock } = parts
  const paths = ociPaths(dataDir)
  if (!existsSync(paths.directory)) return
  const monitors = monitorsOf(paths.containers)
  await end(
    processesIn(`/${nodeId}`).filter(pid => !monitors.includes(pid)),
    { clock, graceMs: 0 },
  )
  await end(monitors, { clock, graceMs: NOTE_MS })
  const sandboxes = new RecordStore<SandboxRecord>(paths.sandboxes)
  const cni = { configs: paths.cniConfig, plugins: cniDirectory() ?? '', enter }
  for (const sandbox of await sandboxes.load()) {
    const { network, bootId } = sandbox
    if (network !== null) {
      const netns = bootId === currentBootId() ? network.arguments.netns : ''
      // Interfaces go with their namespaces anyway; rules and addresses would stay.
      await detach(cni, { ...network, arguments: { ...network.arguments, netns } }).catch(() => {})
    }
    await sandboxes.save({ ...sandbox, network: null, state: 'not-ready', pauseId: null })
  }
  const passage = passageOf(nodeId)
  await unmountBelow([paths.directory, passage])
  const gone = forgets ? [paths.sandboxes, paths.containers, paths.exits] : []
  for (const path of [...gone, paths.state, paths.ipam]) rmSync(path, { recursive: true, force: true })
  if (mountsBelow([passage]).length === 0) rmSync(passage, { recursive: true, force: true })
  await removePodCgroup(`/${nodeId}`)
}

async function end(
  pids: readonly number[],
  { clock, graceMs }: { clock: Clock; graceMs: number },
): Promise<void> {
  const found = pids.map(identifyProcess).filter(identity => identity !== undefined)
  await Promise.all(
    found.map(async each => {
      if (graceMs > 0 && (await waitUntilGone(each, { clock, timeoutMs: graceMs }))) return
      signalProcess(each, 'SIGKILL')
      await waitUntilGone(each, { clock, timeoutMs: KILL_MS })
    }),
  )
}

/** conmon has the directory of its container on its command line. */
function monitorsOf(containers: string): number[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .filter(id => {
      const words = readOrEmpty(`/proc/${id}/cmdline`).split('\0')
      return (words[0] ?? '').endsWith('conmon') && words.some(word => word.startsWith(join(containers, '/')))
    })
    .map(Number)
}
