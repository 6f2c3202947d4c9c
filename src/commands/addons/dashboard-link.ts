/** Makes a token for the dashboard, and a link that signs in with it once: what is behind the # no log gets to see. */
import { Mk8sError } from '../../base/errors.ts'
import { systemRandom } from '../../base/random.ts'
import type { TargetFlags } from '../../cli/cluster-target.ts'
import { isNotFound } from '../../client/kube-client.ts'
import { SERVICE_ACCOUNTS } from '../../client/resources.ts'
import type { KubeObject } from '../../kube/object.ts'
import { isEnabled } from '../../runtime/addons/addon-object.ts'
import { DASHBOARD_NAMESPACE, keepLink } from '../../runtime/addons/dashboard/one-time-link.ts'
import { type AddonCluster, withCluster } from './cluster.ts'

const ACCOUNTS = { view: 'viewer', admin: 'admin' } as const
/** The API server makes none that ends sooner. */
const SECONDS_MIN = 600
const SECONDS_MAX = 86_400

export interface DashboardLink {
  readonly url: string
  readonly link: string
  readonly token: string
  readonly expiresAt: string
}

interface Wanted {
  readonly role: keyof typeof ACCOUNTS
  readonly seconds: number
}

export async function makeDashboardLink(flags: TargetFlags, wanted: Wanted): Promise<DashboardLink> {
  if (wanted.seconds < SECONDS_MIN || wanted.seconds > SECONDS_MAX)
    throw new Mk8sError('usage', '--expires has to be from 10m to 24h')
  return await withCluster(flags, 'dashboard', async cluster => {
    const port = await portOf(cluster)
    const url = `https://${cluster.host}:${port}/`
    const { token, expirationTimestamp } = await tokenFor(cluster, wanted)
    const code = await keepLink({ client: cluster.client, random: systemRandom }, token)
    return { url, link: `${url}#once=${code}`, token, expiresAt: expirationTimestamp }
  })
}

async function portOf(cluster: AddonCluster): Promise<unknown> {
  const addon = await cluster.addon('dashboard')
  const port = addon?.status?.parameters?.['port']
  if (addon !== null && isEnabled(addon) && port !== undefined) return port
  throw new Mk8sError('addon/missing', 'the dashboard is not enabled', { hint: 'mk8s enable dashboard' })
}

interface TokenStatus {
  readonly token: string
  readonly expirationTimestamp: string
}

async function tokenFor({ client }: AddonCluster, { role, seconds }: Wanted): Promise<TokenStatus> {
  const request: KubeObject = {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    metadata: {},
    spec: { expirationSeconds: seconds },
  }
  const target = { namespace: DASHBOARD_NAMESPACE, name: ACCOUNTS[role], subresource: 'token' }
  try {
    const made = await client.create<KubeObject>(SERVICE_ACCOUNTS, request, target)
    return made['status'] as TokenStatus
  } catch (error) {
    if (!isNotFound(error)) throw error
    const set = role === 'admin' ? ' --set admin=true' : ''
    throw new Mk8sError('addon/missing', `the dashboard has no account for the role ${role}`, {
      hint: `mk8s enable dashboard${set}`,
      cause: error,
    })
  }
}
