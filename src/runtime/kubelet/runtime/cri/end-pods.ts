/** Ends this node's pods behind a CRI socket, when no daemon does. */
import { CriClient } from './cri-client.ts'
import { NODE_LABEL } from './render-cri.ts'

export interface EndPodsParts {
  readonly socketPath: string
  readonly nodeId: string
  /** Their records too, as for a node that is uninstalled. */
  readonly removes: boolean
}

export async function endPods({ socketPath, nodeId, removes }: EndPodsParts): Promise<void> {
  const client = await CriClient.open(socketPath)
  try {
    const sandboxes = await client.listSandboxes({ [NODE_LABEL]: nodeId })
    const affected = sandboxes.filter(({ state }) => removes || state === 'SANDBOX_READY')
    await Promise.all(
      affected.map(async ({ id }) => {
        await client.stopSandbox(id)
        if (removes) await client.removeSandbox(id)
      }),
    )
  } finally {
    client.close()
  }
}
