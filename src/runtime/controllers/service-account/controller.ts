/** Gives every namespace its `default` service account, again when somebody deletes it. */
import { keyOf } from '../../../client/informer.ts'
import { isAlreadyExists } from '../../../client/kube-client.ts'
import { NAMESPACES, SERVICE_ACCOUNTS } from '../../../client/resources.ts'
import { isNamespaceTerminating } from '../../../client/status-errors.ts'
import type { Namespace, ServiceAccount } from '../../../kube/types.ts'
import type { Controller, ControllerContext } from '../shared/context.ts'
import { keyedController, keysFrom } from '../shared/keyed-controller.ts'
import { DEFAULT_ACCOUNT, needsDefaultAccount } from './plan.ts'

const SERVICE_ACCOUNT = 'service-account-controller'

export function createServiceAccountController(context: ControllerContext): Controller {
  const client = context.client(SERVICE_ACCOUNT)
  const namespaces = context.informers.informer<Namespace>(NAMESPACES)
  const accounts = context.informers.informer<ServiceAccount>(SERVICE_ACCOUNTS)
  return keyedController({
    name: SERVICE_ACCOUNT,
    context,
    sources: [
      keysFrom(namespaces, namespace => [keyOf(namespace)]),
      keysFrom(accounts, account =>
        account.metadata.name === DEFAULT_ACCOUNT ? [account.metadata.namespace ?? ''] : [],
      ),
    ],
    async reconcile(namespace, signal) {
      const account = accounts.get(`${namespace}/${DEFAULT_ACCOUNT}`)
      if (!needsDefaultAccount(namespaces.get(namespace), account)) return undefined
      try {
        const created = await client.create(SERVICE_ACCOUNTS, {
          apiVersion: 'v1',
          kind: 'ServiceAccount',
          metadata: { name: DEFAULT_ACCOUNT, namespace },
        })
        await accounts.caughtUp(created.metadata.resourceVersion, signal)
      } catch (error) {
        if (!isAlreadyExists(error) && !isNamespaceTerminating(error)) throw error
      }
      return undefined
    },
  })
}
