/** The way of the commands about registries into the cluster. */

import { type TargetFlags, targetOf } from '../../cli/cluster-target.ts'
import type { KubeClient } from '../../client/kube-client.ts'

export async function inCluster<T>(flags: TargetFlags, work: (client: KubeClient) => Promise<T>): Promise<T> {
  const [{ openAdministrator }, { KubeClient }] = await Promise.all([
    import('../administrator.ts'),
    import('../../client/kube-client.ts'),
  ])
  const { transport } = await openAdministrator(await targetOf(flags), 'registry')
  try {
    return await work(new KubeClient(transport, { userAgent: 'mk8s/registry' }))
  } finally {
    transport.close()
  }
}
