/**
 * How a worker finds out that it was taken out of its cluster: the servers refuse it even its own Node, which they
 * allow to every kubelet else. The daemon says so and stays down, as a server's does.
 */
import { type Clock, sleep } from '../base/clock.ts'
import type { Component } from '../base/component.ts'
import { Mk8sError } from '../base/errors.ts'
import type { KubeClient } from '../client/kube-client.ts'
import { NODES } from '../client/resources.ts'

const LOOK_MS = 3_000
const ASK_MS_MAX = 2_000
/** One server may not have heard of the newest yet. */
const REFUSALS = 2
/** What the node authorizer says of it; other refusals have other reasons. */
const TAKEN_OUT = /was taken out of the cluster/

export interface RemovalLookParts {
  /** As the kubelet. */
  readonly client: KubeClient
  readonly nodeName: string
  /** Nobody asks while all is well. */
  readonly isWell: () => boolean
  readonly onRemoved: (error: Mk8sError) => void
  readonly clock: Clock
}

export function createRemovalLook(parts: RemovalLookParts): Component {
  const ended = new AbortController()
  const run = async () => {
    for (let refusals = 0; refusals < REFUSALS; ) {
      await sleep(parts.clock, LOOK_MS, ended.signal)
      refusals = !parts.isWell() && (await isTakenOut(parts)) ? refusals + 1 : 0
    }
    parts.onRemoved(
      new Mk8sError('node/removed', `the node ${parts.nodeName} is not in the cluster any more`, {
        why: 'it has left, or was removed on a server',
        hint: 'mk8s uninstall; then mk8s join, with a new line from mk8s add-node on a server',
      }),
    )
  }
  return {
    name: 'membership',
    async prepare() {},
    async start() {
      void run().catch(() => {})
    },
    async stop() {
      ended.abort()
    },
    health: () => ({ ok: true, reason: '' }),
  }
}

async function isTakenOut({ client, nodeName: name }: RemovalLookParts): Promise<boolean> {
  try {
    await client.get(NODES, { name, signal: AbortSignal.timeout(ASK_MS_MAX) })
    return false
  } catch (error) {
    return error instanceof Error && TAKEN_OUT.test(error.message)
  }
}
