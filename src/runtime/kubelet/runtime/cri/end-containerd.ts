/**
 * Ends a containerd of our own with everything that it made: containers, shims, mounts, control groups. It asks
 * containerd first, and then looks for what is left, by what only this node's things are called.
 */
import { existsSync, rmSync } from 'node:fs'
import type { Clock } from '../../../../base/clock.ts'
import { unmountBelow } from '../../../../host/mounts.ts'
import {
  identifyProcess,
  type ProcessIdentity,
  readPidFile,
  signalProcess,
  waitUntilGone,
} from '../../../../host/processes.ts'
import { containerdPaths } from './containerd-config.ts'
import { endPods } from './end-pods.ts'
import { processesIn, removePodCgroup } from './pod-cgroups.ts'
import { shimsOf } from './shims.ts'

export interface EndContainerdParts {
  readonly dataDir: string
  /** As in CriRuntime. */
  readonly nodeId: string
  /** Besides containerd's own: mount points of the kubelet. */
  readonly sharedDirectories: readonly string[]
  readonly clock: Clock
}

const TERM_MS = 10_000
const KILL_MS = 5_000

/** Does nothing where there never was one. May be repeated. */
export async function endContainerd(parts: EndContainerdParts): Promise<void> {
  const paths = containerdPaths(parts.dataDir)
  if (!existsSync(paths.directory)) return
  const containerd = readPidFile(paths.pid)
  if (containerd !== undefined) {
    // Gives addresses back and takes port mappings away, which a kill would leave; the rest follows below anyway.
    await endPods({ socketPath: paths.socket, nodeId: parts.nodeId, removes: false }).catch(() => {})
    await end(containerd, parts.clock)
  }
  rmSync(paths.pid, { force: true })
  // Containers before their shims, which would note their ends otherwise.
  const left = [...processesIn(`/${parts.nodeId}`), ...shimsOf(paths.socket).map(({ pid }) => pid)]
  const found = left.map(identifyProcess).filter(identity => identity !== undefined)
  for (const identity of found) signalProcess(identity, 'SIGKILL')
  await Promise.all(found.map(each => waitUntilGone(each, { clock: parts.clock, timeoutMs: KILL_MS })))
  await unmountBelow([paths.directory, ...parts.sharedDirectories])
  await removePodCgroup(`/${parts.nodeId}`)
}

async function end(identity: ProcessIdentity, clock: Clock): Promise<void> {
  signalProcess(identity, 'SIGTERM')
  if (await waitUntilGone(identity, { clock, timeoutMs: TERM_MS })) return
  signalProcess(identity, 'SIGKILL')
  await waitUntilGone(identity, { clock, timeoutMs: KILL_MS })
}
