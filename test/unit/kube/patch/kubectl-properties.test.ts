/**
 * Random patches of random objects, beside what kubectl makes of them offline (`kubectl patch --local`). One run of
 * kubectl patches many objects. `MK8S_SEED` chooses others than those of every day.
 */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { readAsset } from '../../../../src/host/assets.ts'
import { parseModel } from '../../../../src/kube/model.ts'
import { applyJsonPatch } from '../../../../src/kube/patch/json-patch.ts'
import { applyMergePatch } from '../../../../src/kube/patch/merge-patch.ts'
import { applyStrategicMerge } from '../../../../src/kube/patch/strategic-merge.ts'
import { StatusError } from '../../../../src/kube/status.ts'
import { KUBECTL, otherKubectl, run } from '../../../support/kubectl.ts'

const model = parseModel(readAsset('model.json'))
const kubectl = existsSync(KUBECTL) ? KUBECTL : otherKubectl()
const skip = kubectl === null && 'no kubectl here'
const SEED = Number(process.env['MK8S_SEED'] ?? 20_260_401)
const PATCHES = 40
const OBJECTS = 25

interface Named {
  readonly metadata: { readonly name: string }
}

const word = fc.constantFrom('a', 'b', 'c', 'd')
const maybe = <T>(value: fc.Arbitrary<T>, freq = 2) => fc.option(value, { nil: undefined, freq })
const dictionary = fc.dictionary(word, word, { maxKeys: 3 })
const unique = <T extends object, K extends keyof T>(item: fc.Arbitrary<T>, key: K) =>
  fc.uniqueArray(item, { selector: one => one[key], maxLength: 4 })
/** As JSON has it: without what is undefined. */
const plain = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T> =>
  value.map(one => JSON.parse(JSON.stringify(one)) as T)

const env = unique(fc.record({ name: word, value: maybe(word) }), 'name')
const ports = unique(
  fc.record({ containerPort: fc.integer({ min: 1, max: 4 }), name: maybe(word) }),
  'containerPort',
)
const mounts = unique(fc.record({ mountPath: word, name: word, readOnly: maybe(fc.boolean()) }), 'mountPath')
const container = fc.record({
  name: word,
  image: maybe(word),
  args: maybe(fc.array(word, { maxLength: 3 })),
  env: maybe(env),
  ports: maybe(ports),
  volumeMounts: maybe(mounts),
  resources: maybe(
    fc.record({ limits: fc.dictionary(fc.constantFrom('cpu', 'memory'), fc.constantFrom('1', '2')) }),
  ),
})
const volume = fc.oneof(
  fc.record({ name: word, emptyDir: fc.record({ medium: maybe(word) }) }),
  fc.record({ name: word, configMap: fc.record({ name: word, optional: maybe(fc.boolean()) }) }),
)
const spec = fc.record({
  containers: unique(container, 'name'),
  volumes: maybe(unique<{ name: string }, 'name'>(volume, 'name')),
  nodeSelector: maybe(dictionary),
  tolerations: maybe(fc.array(fc.record({ key: word, operator: word }), { maxLength: 3 })),
  imagePullSecrets: maybe(unique(fc.record({ name: word }), 'name')),
  hostNetwork: maybe(fc.boolean()),
  securityContext: maybe(
    fc.record({ runAsUser: maybe(fc.nat(3)), supplementalGroups: maybe(fc.array(fc.nat(3))) }),
  ),
})
const metadata = fc.record({
  labels: maybe(dictionary),
  finalizers: maybe(fc.uniqueArray(word)),
  ownerReferences: maybe(unique(fc.record({ uid: word, name: word, kind: word, apiVersion: word }), 'uid')),
})
const pod = plain(fc.record({ apiVersion: fc.constant('v1'), kind: fc.constant('Pod'), metadata, spec }))

const shuffled = <T>(items: readonly T[]) => fc.shuffledSubarray([...items], { minLength: items.length })
const cleared = <T>(value: fc.Arbitrary<T>) => fc.option(value, { freq: 5 })
/** The patch of a list that merges by `key`: parts, deletions, a replacement, an order. */
function listPatch<T extends object>(
  field: string,
  key: keyof T & string,
  item: fc.Arbitrary<T>,
): fc.Arbitrary<unknown> {
  const partial = item.chain(one => {
    const others = Object.keys(one).filter(name => name !== key) as (keyof T)[]
    return fc
      .tuple(
        fc.subarray(others),
        fc.constantFrom<string | undefined>(undefined, undefined, undefined, 'delete', 'merge'),
      )
      .map(([kept, directive]) => ({
        [key]: one[key],
        ...Object.fromEntries(kept.map(name => [name, one[name]])),
        ...(directive === undefined ? {} : { $patch: directive }),
      }))
  })
  const items = fc.uniqueArray(partial, {
    selector: one => String((one as Record<string, unknown>)[key]),
    maxLength: 3,
  })
  const marked = fc
    .tuple(items, fc.nat(9))
    .map(([list, chance]) => (chance === 0 ? [...list, { $patch: 'replace' }] : list))
  return fc
    .tuple(cleared(marked), fc.nat(2), fc.uniqueArray(item, { selector: one => one[key] }))
    .chain(([list, chance, more]): fc.Arbitrary<unknown> => {
      if (list === null || chance > 0) return fc.constant({ [field]: list })
      const present = list.filter(one => '$patch' in one === false) as unknown as T[]
      const values = [...new Set([...present, ...more].map(one => one[key]))]
      return shuffled(values).map(order => ({
        [field]: inOrder(list, order, key),
        [`$setElementOrder/${field}`]: order.map(value => ({ [key]: value })),
      }))
    })
}

/** Upstream asks that a patch names its items in the order it wishes for. */
function inOrder<T extends object>(list: readonly T[], order: readonly unknown[], key: string): readonly T[] {
  const place = (one: T): number => order.indexOf((one as Record<string, unknown>)[key])
  return list.toSorted((a, b) => place(a) - place(b))
}

const field = <T>(name: string, value: fc.Arbitrary<T>) =>
  fc.option(
    value.map(one => ({ [name]: one }) as object),
    { nil: {}, freq: 1 },
  )
const merged = (...parts: fc.Arbitrary<unknown>[]) =>
  fc.tuple(...parts).map(all => Object.assign({}, ...all) as object)
const some = (value: fc.Arbitrary<unknown>) => fc.option(value, { nil: {}, freq: 2 })
const directive = fc.constantFrom({}, {}, {}, {}, {}, {}, { $patch: 'replace' }, { $patch: 'merge' })

const containerPatch = merged(
  fc.record({ name: word }),
  field('image', cleared(word)),
  field('args', cleared(fc.array(word, { maxLength: 3 }))),
  some(listPatch('env', 'name', fc.record({ name: word, value: word }))),
  some(
    listPatch(
      'ports',
      'containerPort',
      fc.record({ containerPort: fc.integer({ min: 1, max: 4 }), name: word }),
    ),
  ),
  field(
    'resources',
    cleared(fc.record({ limits: cleared(fc.dictionary(fc.constantFrom('cpu', 'memory'), cleared(word))) })),
  ),
) as fc.Arbitrary<{ name: string }>
const volumePatch = fc
  .tuple(volume, fc.boolean())
  .map(([one, retains]) => (retains ? { ...one, $retainKeys: Object.keys(one) } : one)) as fc.Arbitrary<{
  name: string
}>
const specPatch = merged(
  some(listPatch('containers', 'name', containerPatch)),
  some(listPatch('volumes', 'name', volumePatch)),
  some(listPatch('imagePullSecrets', 'name', fc.record({ name: word }))),
  field('nodeSelector', cleared(merged(fc.dictionary(word, cleared(word), { maxKeys: 3 }), directive))),
  field('tolerations', cleared(fc.array(fc.record({ key: word, operator: word }), { maxLength: 2 }))),
  field('hostNetwork', cleared(fc.boolean())),
  field('securityContext', cleared(merged(fc.record({ runAsUser: cleared(fc.nat(3)) }), directive))),
)
const metadataPatch = merged(
  field('labels', cleared(merged(fc.dictionary(word, cleared(word), { maxKeys: 3 }), directive))),
  field('finalizers', cleared(fc.uniqueArray(word))),
  field('$deleteFromPrimitiveList/finalizers', fc.uniqueArray(word, { minLength: 1 })),
  some(
    listPatch('ownerReferences', 'uid', fc.record({ uid: word, name: word, kind: word, apiVersion: word })),
  ),
)
const strategic = plain(merged(field('metadata', metadataPatch), field('spec', specPatch)))

const mergePatch = plain(
  fc.record({
    metadata: maybe(
      fc.record({ labels: cleared(fc.dictionary(word, cleared(word))), finalizers: cleared(fc.array(word)) }),
    ),
    spec: maybe(
      fc.record({
        containers: maybe(unique(container, 'name')),
        nodeSelector: cleared(fc.dictionary(word, cleared(word))),
        securityContext: cleared(
          fc.record({ runAsUser: cleared(fc.nat(3)), deep: cleared(fc.record({ er: cleared(word) })) }),
        ),
        other: cleared(
          fc.anything({ maxDepth: 2, values: [word, fc.boolean(), fc.nat(9), fc.constant(null)], key: word }),
        ),
      }),
    ),
  }),
)

const pointer = fc.constantFrom(
  '/metadata/labels',
  '/metadata/labels/a',
  '/metadata/labels/b~1c',
  '/metadata/finalizers/0',
  '/metadata/finalizers/-',
  '/metadata/finalizers/-1',
  '/spec/containers/0',
  '/spec/containers/1',
  '/spec/containers/0/env/0/value',
  '/spec/containers/-',
  '/spec/nodeSelector/a',
  '/spec/nowhere/at/all',
  '/spec/hostNetwork',
  '/spec/tolerations/01',
)
const jsonValue = fc.oneof(
  word,
  fc.boolean(),
  fc.nat(9),
  fc.constant(null),
  dictionary,
  fc.array(word, { maxLength: 2 }),
)
const target = fc.oneof(
  { weight: 3, arbitrary: pointer },
  {
    weight: 2,
    arbitrary: fc.constantFrom('/spec/hostname', '/spec/containers', '/spec', '/metadata/labels/z'),
  },
)
const operation = fc.oneof(
  { weight: 4, arbitrary: fc.record({ op: fc.constant('add'), path: target, value: jsonValue }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('replace'), path: target, value: jsonValue }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('remove'), path: pointer }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constantFrom('move', 'copy'), from: target, path: target }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('test'), path: target, value: jsonValue }) },
)
const jsonPatch = fc.array(operation, { minLength: 1, maxLength: 2 }) as unknown as fc.Arbitrary<object>

/** kubectl's results by name; an object that it did not patch has none. */
async function kubectlPatched(
  type: string,
  patch: object,
  objects: readonly Named[],
): Promise<Map<string, object>> {
  const args = [
    'patch',
    '--local',
    '--type',
    type,
    '-f',
    '-',
    '-p',
    JSON.stringify(patch),
    '-o',
    'jsonpath={@}{"\\n"}',
  ]
  const input = objects.map(one => JSON.stringify(one)).join('\n---\n')
  const { stdout } = await run(kubectl ?? '', args, { input })
  const printed = stdout.split('\n').filter(line => line.startsWith('{'))
  return new Map(
    printed.map(line => {
      const one = JSON.parse(line) as Named
      return [one.metadata.name, one]
    }),
  )
}

/** Without what Go's types would not show: nulls and what is empty. */
function normal(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(normal)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).map(([key, inner]) => [key, normal(inner)] as const)
  const isEmpty = (inner: unknown) =>
    inner === null || (typeof inner === 'object' && Object.keys(inner as object).length === 0)
  return Object.fromEntries(entries.filter(([, inner]) => !isEmpty(inner)))
}

interface Manner {
  readonly type: 'strategic' | 'merge' | 'json'
  readonly patches: fc.Arbitrary<object>
  readonly apply: (object: unknown, patch: unknown) => unknown
}

const manners: readonly Manner[] = [
  {
    type: 'strategic',
    patches: strategic,
    apply: (object, patch) => applyStrategicMerge(model, 'io.k8s.api.core.v1.Pod', object, patch),
  },
  { type: 'merge', patches: mergePatch, apply: applyMergePatch },
  { type: 'json', patches: jsonPatch, apply: applyJsonPatch },
]

for (const { type, patches, apply } of manners) {
  test(`a random ${type} patch makes of objects what kubectl makes of them`, { skip }, async () => {
    let agreed = 0
    for (const [index, patch] of fc.sample(patches, { seed: SEED, numRuns: PATCHES }).entries()) {
      const objects = fc
        .sample(pod, { seed: SEED + index, numRuns: OBJECTS })
        .map((one, place) => ({ ...one, metadata: { ...one.metadata, name: `p${place}` } }))
      const expected = await kubectlPatched(type, patch, objects)
      for (const object of objects) {
        const told = `seed ${SEED}: ${JSON.stringify(patch)} on ${JSON.stringify(object)}`
        const found = attempt(() => apply(structuredClone(object), structuredClone(patch)))
        const wanted = expected.get(object.metadata.name) ?? null
        assert.deepEqual(normal(found), normal(wanted), told)
        agreed += Number(found !== null)
      }
    }
    assert.ok(agreed > (PATCHES * OBJECTS) / 5, `only ${agreed} patches could be applied`)
  })
}

function attempt(apply: () => unknown): unknown {
  try {
    return apply()
  } catch (error) {
    if (error instanceof StatusError) return null
    throw error
  }
}
