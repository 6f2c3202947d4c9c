/**
 * What the cluster knows of registries, as its owners enter it: `setRegistries(client, 'my-add-on', document)` makes
 * the entry of one owner, null takes it away. Nodes follow at once.
 */
import { Mk8sError } from '../base/errors.ts'
import {
  divideDocument,
  joinDocuments,
  mergeRegistries,
  REGISTRIES_NAME as name,
  REGISTRIES_NAMESPACE as namespace,
  PEOPLE,
  type RegistriesDocument,
  readDocument,
} from '../kube/registries/registries.ts'
import type { ConfigMap, Secret } from '../kube/types.ts'
import { isAlreadyExists, isConflict, isNotFound, type KubeClient } from './kube-client.ts'
import { CONFIG_MAPS, SECRETS } from './resources.ts'

export interface OwnedRegistries {
  readonly owner: string
  readonly document: RegistriesDocument
}

interface Stored {
  readonly config: ConfigMap | null
  readonly secret: Secret | null
}

const TRIES_MAX = 8
const MANAGED = { 'app.kubernetes.io/managed-by': 'mk8s' }

/** In the order in which they count, the last one most; and what is wrong with the others. */
export async function listRegistries(
  client: KubeClient,
): Promise<{ readonly owners: readonly OwnedRegistries[]; readonly problems: readonly string[] }> {
  const { open, hidden } = textsIn(await read(client))
  const { problems } = mergeRegistries(open, hidden)
  const owners = [...new Set([...Object.keys(open), ...Object.keys(hidden)])]
    .filter(key => key.endsWith('.yaml'))
    .map(key => ({
      owner: key.slice(0, -'.yaml'.length),
      document: joinDocuments(open[key] ?? '', hidden[key] ?? ''),
    }))
  const rank = ({ owner }: OwnedRegistries) => (owner === PEOPLE ? 1 : 0)
  return { owners: owners.sort((one, other) => rank(one) - rank(other)), problems }
}

/** The whole entry of one owner; null removes it. */
export const setRegistries = (
  client: KubeClient,
  owner: string,
  document: RegistriesDocument | null,
): Promise<void> => changeRegistries(client, owner, () => document ?? {})

/** Reads the owner's entry and writes what `change` makes of it, again if somebody else was faster. */
export async function changeRegistries(
  client: KubeClient,
  owner: string,
  change: (before: RegistriesDocument) => RegistriesDocument,
): Promise<void> {
  const key = `${owner}.yaml`
  for (let tries = 1; ; tries++) {
    const stored = await read(client)
    const before = textsIn(stored)
    refuseDamaged(key, [before.open[key] ?? '', before.hidden[key] ?? ''])
    const after = divideDocument(change(joinDocuments(before.open[key] ?? '', before.hidden[key] ?? '')))
    try {
      // Credentials first: no mirror is used before them.
      await write(
        client,
        { stored: stored.secret, key, text: after.hidden, before: before.hidden[key] ?? '' },
        true,
      )
      await write(
        client,
        { stored: stored.config, key, text: after.open, before: before.open[key] ?? '' },
        false,
      )
      return
    } catch (error) {
      if (tries === TRIES_MAX || !(isConflict(error) || isAlreadyExists(error))) throw error
    }
  }
}

/** What somebody wrote by hand is not overwritten because it has a mistake. */
function refuseDamaged(key: string, texts: readonly string[]): void {
  const problems = texts.flatMap(text => readDocument(text).problems)
  if (problems.length === 0) return
  throw new Mk8sError('refused', `${key} of ${namespace}/${name} has a mistake`, {
    why: problems.join('\n'),
    hint: `mk8s kubectl -n ${namespace} edit configmap ${name}`,
  })
}

interface Half {
  readonly stored: ConfigMap | Secret | null
  readonly key: string
  readonly text: string
  readonly before: string
}

async function write(
  client: KubeClient,
  { stored, key, text, before }: Half,
  isSecret: boolean,
): Promise<void> {
  if (text === before) return
  const encoded = isSecret ? Buffer.from(text).toString('base64') : text
  const data = { [key]: text === '' ? null : encoded }
  const resource = isSecret ? SECRETS : CONFIG_MAPS
  if (stored !== null) {
    const { resourceVersion } = stored.metadata
    const patch = { metadata: { resourceVersion }, data }
    await client.patch(resource, { namespace, name, type: 'merge', patch })
    return
  }
  const object = {
    apiVersion: 'v1',
    kind: isSecret ? 'Secret' : 'ConfigMap',
    metadata: { name, namespace, labels: MANAGED },
    data: { [key]: encoded },
  }
  await client.create(resource, object, { namespace })
}

async function read(client: KubeClient): Promise<Stored> {
  const absent = (error: unknown) => {
    if (isNotFound(error)) return null
    throw error
  }
  const [config, secret] = await Promise.all([
    client.get<ConfigMap>(CONFIG_MAPS, { namespace, name }).catch(absent),
    client.get<Secret>(SECRETS, { namespace, name }).catch(absent),
  ])
  return { config, secret }
}

type Texts = Readonly<Record<string, string>>

function textsIn({ config, secret }: Stored): { readonly open: Texts; readonly hidden: Texts } {
  const decoded = Object.entries(secret?.data ?? {}).map(
    ([key, text]) => [key, Buffer.from(text, 'base64').toString('utf8')] as const,
  )
  return { open: config?.data ?? {}, hidden: Object.fromEntries(decoded) }
}
