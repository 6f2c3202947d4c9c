/** What holds for server-side apply whatever is applied by whom. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { must } from '../../../../src/base/assert.ts'
import { applySchema } from '../../../../src/kube/apply/apply-schema.ts'
import { difference, equalSets, isEmptySet, union } from '../../../../src/kube/apply/field-set.ts'
import { decodeManagers } from '../../../../src/kube/apply/managers.ts'
import { withoutStripped } from '../../../../src/kube/apply/target.ts'
import { valueSet } from '../../../../src/kube/apply/value-set.ts'
import type { KubeObject } from '../../../../src/kube/object.ts'
import { StatusError } from '../../../../src/kube/status.ts'
import { model, POD, Story } from './support.ts'

const word = fc.constantFrom('a', 'b', 'c')
const some = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined })
const labels = fc.dictionary(word, word, { minKeys: 1, maxKeys: 3 })
const env = fc.uniqueArray(fc.record({ name: word, value: word }), {
  selector: one => one.name,
  minLength: 1,
  maxLength: 3,
})
const ports = fc.uniqueArray(
  fc.record({ containerPort: fc.integer({ min: 1, max: 3 }), protocol: some(fc.constantFrom('TCP', 'UDP')) }),
  { selector: one => `${one.containerPort} ${one.protocol ?? 'TCP'}`, minLength: 1, maxLength: 3 },
)
const container = fc.record({
  name: word,
  image: some(word),
  command: some(fc.array(word, { minLength: 1 })),
  env: some(env),
  ports: some(ports),
})
/** Everybody owns this, so that there is never an object without owners. */
const base = { base: 'x' }
const config = fc
  .record({
    metadata: fc.record({
      labels: labels.map(one => ({ ...one, ...base })),
      finalizers: some(fc.uniqueArray(word, { minLength: 1 })),
    }),
    spec: some(
      fc.record({
        containers: fc.uniqueArray(container, { selector: one => one.name, minLength: 1, maxLength: 3 }),
        nodeSelector: some(labels),
        hostNetwork: some(fc.boolean()),
      }),
    ),
  })
  .map(value => JSON.parse(JSON.stringify(value)) as KubeObject)
const step = fc.record({ who: fc.constantFrom('x', 'y', 'z'), config, force: fc.boolean() })
const steps = fc.array(step, { minLength: 1, maxLength: 6 })
const schema = applySchema(model, POD)

function tell(all: readonly { who: string; config: KubeObject; force: boolean }[]): Story {
  const story = new Story(POD)
  for (const { who, config: one, force } of all) {
    try {
      story.apply(who, one, { force })
    } catch (error) {
      if (!(error instanceof StatusError)) throw error
    }
  }
  return story
}

test('applying again changes nothing', () => {
  fc.assert(
    fc.property(steps, step, (before, last) => {
      const story = tell(before)
      story.apply(last.who, last.config, { force: true })
      const once = structuredClone(story.object)
      story.apply({ manager: last.who, at: 9 }, last.config)
      assert.deepEqual(story.object, once)
    }),
  )
})

test('a forced apply ends with the values of the configuration', () => {
  fc.assert(
    fc.property(steps, step, (before, last) => {
      const story = tell(before)
      const { object } = story.apply(last.who, last.config, { force: true })
      assertContains(object, last.config)
    }),
  )
})

/** Every leaf of the configuration is in the object; items of lists are found by name, port or value. */
function assertContains(value: unknown, wanted: unknown): void {
  if (Array.isArray(wanted)) {
    assert.ok(Array.isArray(value))
    for (const item of wanted) assertContains(counterpart(value, item), item)
  } else if (typeof wanted === 'object' && wanted !== null) {
    assert.ok(typeof value === 'object' && value !== null)
    for (const [name, inner] of Object.entries(wanted))
      assertContains((value as Record<string, unknown>)[name], inner)
  } else {
    assert.equal(value, wanted)
  }
}

function counterpart(list: readonly unknown[], item: unknown): unknown {
  if (typeof item !== 'object' || item === null) return list.find(one => one === item)
  const { name, containerPort, protocol = 'TCP' } = item as Record<string, unknown>
  return list.find(one => {
    const other = one as Record<string, unknown>
    if (name !== undefined) return other['name'] === name
    return other['containerPort'] === containerPort && (other['protocol'] ?? 'TCP') === protocol
  })
}

test('an applier owns exactly what it applied last, unless others took it by force', () => {
  fc.assert(
    fc.property(steps, step, (before, last) => {
      const story = tell(before)
      story.apply(last.who, last.config, { force: true })
      const managers = must(decodeManagers(story.object?.metadata.managedFields), 'readable entries')
      const owned = [...managers.values()].find(one => one.manager === last.who)?.set
      const applied = withoutStripped(valueSet(schema, last.config))
      assert.ok(owned === undefined ? isEmptySet(applied) : equalSets(owned, applied))
    }),
  )
})

test('what nobody owns any more is gone', () => {
  fc.assert(
    fc.property(steps, before => {
      const story = tell(before)
      for (const who of ['x', 'y', 'z']) story.apply(who, { metadata: { labels: base } })
      const { labels: left, finalizers } = must(story.object, 'an object').metadata
      assert.deepEqual([left, finalizers ?? []], [base, []])
    }),
  )
})

test('everything that is owned is there', () => {
  fc.assert(
    fc.property(steps, before => {
      const story = tell(before)
      const object = must(story.object, 'an object')
      const managers = must(decodeManagers(object.metadata.managedFields), 'readable entries')
      const there = valueSet(schema, object)
      for (const { set } of managers.values()) {
        // Empty structs and maps in a configuration count as fields, so they are compared with the union.
        assert.ok(isEmptySet(difference(difference(set, there), union(set, there))))
      }
    }),
  )
})
