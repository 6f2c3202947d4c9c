/** The way of the commands about registries into the cluster. */
import { Mk8sError } from '../../base/errors.ts'
import type { KubeClient } from '../../client/kube-client.ts'
import { mustBeRoot } from '../base-command.ts'

export async function inCluster<T>(dataDir: string, work: (client: KubeClient) => Promise<T>): Promise<T> {
  mustBeRoot('registry')
  const [{ readNodeConfig }, { administratorOf }, { KubeClient }] = await Promise.all([
    import('../../config/config-files.ts'),
    import('../administrator.ts'),
    import('../../client/kube-client.ts'),
  ])
  const config = readNodeConfig(dataDir)
  if (config.role !== 'server') {
    throw new Mk8sError('refused', 'a worker cannot change what the cluster has', {
      hint: 'run it on a server',
    })
  }
  const transport = await administratorOf(config)
  try {
    return await work(new KubeClient(transport, { userAgent: 'mk8s/registry' }))
  } finally {
    transport.close()
  }
}
