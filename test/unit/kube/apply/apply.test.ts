/** Server-side apply case by case: merging, ownership, conflicts, removal, and the way from client-side apply. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applySchema } from '../../../../src/kube/apply/apply-schema.ts'
import { configurationProblems, problemsText } from '../../../../src/kube/apply/check-configuration.ts'
import { managerName } from '../../../../src/kube/apply/manager-name.ts'
import { StatusError } from '../../../../src/kube/status.ts'
import { CONFIG_MAP, DEPLOYMENT, model, NODE, POD, Story, timeAt } from './support.ts'

const container = (name: string, more: object = {}) => ({ name, image: `${name}:1`, ...more })
const podSpec = (...containers: object[]) => ({ template: { spec: { containers } } })
const namesOf = (list: unknown): unknown[] => (list as { name: string }[]).map(one => one.name)

function refusal(run: () => unknown): StatusError {
  try {
    run()
  } catch (error) {
    assert.ok(error instanceof StatusError)
    return error
  }
  return assert.fail('nothing was refused')
}

test('an applier owns exactly the fields of its configuration', () => {
  const story = new Story(DEPLOYMENT)
  story.apply('a', {
    metadata: { labels: { app: 'x' } },
    spec: {
      replicas: 1,
      selector: { matchLabels: { app: 'x' } },
      ...podSpec(container('web', { ports: [{ containerPort: 80 }] })),
    },
  })
  assert.deepEqual(story.owners(), {
    a: [
      '.metadata.labels.app',
      '.spec.replicas',
      '.spec.selector',
      '.spec.template.spec.containers[name="web"]',
      '.spec.template.spec.containers[name="web"].image',
      '.spec.template.spec.containers[name="web"].name',
      '.spec.template.spec.containers[name="web"].ports[containerPort=80,protocol="TCP"]',
      '.spec.template.spec.containers[name="web"].ports[containerPort=80,protocol="TCP"].containerPort',
    ],
  })
})

test('fields that are left out of the next configuration are removed, those of others stay', () => {
  const story = new Story(CONFIG_MAP)
  story.apply('a', { data: { mine: '1', ours: '1' } })
  story.apply('b', { data: { theirs: '2', ours: '1' } })
  story.apply('a', { data: { mine: '1' } })
  assert.deepEqual(story.data, { mine: '1', theirs: '2', ours: '1' })
  assert.deepEqual(story.owners(), { a: ['.data.mine'], b: ['.data.ours', '.data.theirs'] })
  story.apply('b', { data: {} })
  assert.deepEqual(story.data, { mine: '1' })
  story.apply('a', {})
  assert.ok(Object.keys((story.data ?? {}) as object).length === 0)
})

test('an owner that leaves a field it shares leaves the value to the others', () => {
  const story = new Story(DEPLOYMENT)
  story.apply('a', { spec: { replicas: 3 } })
  story.apply('b', { spec: { replicas: 3 } })
  assert.deepEqual(story.owners(), { a: ['.spec.replicas'], b: ['.spec.replicas'] })
  story.apply('a', { spec: { paused: true } })
  assert.equal(story.spec['replicas'], 3)
  assert.deepEqual(story.owners(), { a: ['.spec.paused'], b: ['.spec.replicas'] })
})

test('another value of an owned field is a conflict that names owner and field', () => {
  const story = new Story(DEPLOYMENT)
  story.update('kubectl-create', { spec: { replicas: 1, ...podSpec(container('web')) } })
  const one = refusal(() => story.apply('a', { spec: { replicas: 2 } }))
  assert.equal(one.code, 409)
  assert.deepEqual(one.status, {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: 'Apply failed with 1 conflict: conflict with "kubectl-create" using apps/v1: .spec.replicas',
    reason: 'Conflict',
    details: {
      causes: [
        {
          reason: 'FieldManagerConflict',
          message: 'conflict with "kubectl-create" using apps/v1',
          field: '.spec.replicas',
        },
      ],
    },
    code: 409,
  })
})

test('several conflicts are listed by owner', () => {
  const story = new Story(DEPLOYMENT)
  story.apply('a', { spec: { replicas: 1, ...podSpec(container('web')) } })
  story.update({ manager: 'scaler', subresource: 'scale' }, object => {
    Object.assign(object['spec'] as object, { replicas: 5 })
  })
  const config = { spec: { replicas: 2, paused: true, ...podSpec({ name: 'web', image: 'other' }) } }
  assert.equal(
    refusal(() => story.apply('b', config)).message,
    [
      'Apply failed with 2 conflicts: conflicts with "a":',
      '- .spec.template.spec.containers[name="web"].image',
      'conflicts with "scaler" with subresource "scale" using apps/v1:',
      '- .spec.replicas',
    ].join('\n'),
  )
})

test('force takes the fields from their owners', () => {
  const story = new Story(DEPLOYMENT)
  story.apply('a', { spec: { replicas: 1, paused: true } })
  story.apply('b', { spec: { replicas: 2 } }, { force: true })
  assert.equal(story.spec['replicas'], 2)
  assert.deepEqual(story.owners(), { a: ['.spec.paused'], b: ['.spec.replicas'] })
})

test('lists with keys are merged item by item, in the order of the configuration', () => {
  const story = new Story(DEPLOYMENT)
  story.apply('a', { spec: podSpec(container('one'), container('two')) })
  story.apply('b', { spec: podSpec(container('three'), { name: 'two', imagePullPolicy: 'Never' }) })
  const containers = () =>
    (story.spec['template'] as { spec: { containers: { name: string; image?: string }[] } }).spec.containers
  assert.deepEqual(namesOf(containers()), ['one', 'three', 'two'])
  assert.equal(containers()[2]?.image, 'two:1')
  story.apply('a', { spec: podSpec(container('two')) })
  assert.deepEqual(namesOf(containers()), ['three', 'two'])
  story.apply('a', { spec: podSpec() })
  assert.deepEqual(containers()[1], {
    name: 'two',
    imagePullPolicy: 'Never',
    resources: {},
    terminationMessagePath:
      containers()[1] && (containers()[1] as Record<string, unknown>)['terminationMessagePath'],
    terminationMessagePolicy: (containers()[1] as Record<string, unknown>)['terminationMessagePolicy'],
  })
})

test('an item that others own some of only loses what its applier owned', () => {
  const story = new Story(POD)
  story.apply('a', {
    spec: {
      containers: [
        container('web', {
          env: [
            { name: 'A', value: '1' },
            { name: 'B', value: '2' },
          ],
        }),
      ],
    },
  })
  story.apply('b', { spec: { containers: [{ name: 'web', env: [{ name: 'C', value: '3' }] }] } })
  story.apply('a', { spec: { containers: [container('web', { env: [{ name: 'B', value: '2' }] })] } })
  const [web] = story.spec['containers'] as { env: object[] }[]
  assert.deepEqual(web?.env, [
    { name: 'B', value: '2' },
    { name: 'C', value: '3' },
  ])
})

test('sets grow and shrink by value', () => {
  const story = new Story(CONFIG_MAP)
  story.apply('a', { metadata: { finalizers: ['x/a', 'x/b'] } })
  story.apply('b', { metadata: { finalizers: ['x/c', 'x/b'] } })
  assert.deepEqual(story.owners(), {
    a: ['.metadata.finalizers[="x/a"]', '.metadata.finalizers[="x/b"]'],
    b: ['.metadata.finalizers[="x/b"]', '.metadata.finalizers[="x/c"]'],
  })
  story.apply('a', { metadata: {} })
  assert.deepEqual(story.object?.metadata.finalizers, ['x/c', 'x/b'])
})

test('atomic lists, maps and structs belong to one as a whole', () => {
  const story = new Story(POD)
  story.apply('a', {
    spec: {
      nodeSelector: { a: '1' },
      tolerations: [{ key: 'a' }],
      containers: [
        container('web', {
          command: ['a'],
          env: [{ name: 'E', valueFrom: { configMapKeyRef: { name: 'c', key: 'k' } } }],
        }),
      ],
    },
  })
  assert.deepEqual(
    refusal(() =>
      story.apply('b', {
        spec: {
          nodeSelector: { b: '1' },
          tolerations: [{ key: 'b' }],
          containers: [{ name: 'web', command: ['b'] }],
        },
      }),
    ).status.details?.causes?.map(cause => cause.field),
    ['.spec.nodeSelector', '.spec.tolerations', '.spec.containers[name="web"].command'],
  )
  story.apply('b', { spec: { nodeSelector: { b: '1' } } }, { force: true })
  assert.deepEqual(story.spec['nodeSelector'], { b: '1' })
  assert.ok(
    story.owners()['a']?.includes('.spec.containers[name="web"].env[name="E"].valueFrom.configMapKeyRef'),
  )
})

test('updates take what they change and nobody owns what is gone', () => {
  const story = new Story(CONFIG_MAP)
  story.apply('a', { data: { one: '1', two: '2', three: '3' } })
  story.update('editor', object => {
    object['data'] = { one: '1', two: 'changed', four: '4' }
  })
  assert.deepEqual(story.owners(), {
    a: ['.data.one'],
    'editor/Update': ['.data.four', '.data.two'],
  })
})

test('a creation owns everything it says, with its defaults, as upstream lists it', () => {
  const story = new Story(DEPLOYMENT)
  story.update('kubectl-create', {
    metadata: { labels: { app: 'x' }, annotations: {} },
    spec: { selector: { matchLabels: { app: 'x' } }, ...podSpec(container('web')) },
    status: {},
  })
  const [entry] = (story.object?.metadata.managedFields ?? []) as { fieldsV1: object }[]
  const text = JSON.stringify(entry?.fieldsV1)
  assert.match(
    text,
    /^\{"f:metadata":\{"f:annotations":\{\},"f:labels":\{"\.":\{\},"f:app":\{\}\}\},"f:spec":\{"f:prog/,
  )
  assert.match(text, /"f:containers":\{"k:\{\\"name\\":\\"web\\"\}":\{"\.":\{\},"f:image":\{\},/)
  assert.match(text, /"f:resources":\{\}/)
  assert.doesNotMatch(text, /f:status|f:uid|f:name":\{\}\},"f:spec/)
})

test('writers of a subresource are owners of their own', () => {
  const story = new Story(NODE)
  story.update('kubelet', { spec: { unschedulable: true }, status: { phase: 'x' } })
  story.update({ manager: 'kubelet', subresource: 'status' }, object => {
    object['status'] = { conditions: [{ type: 'Ready', status: 'True' }] }
    Object.assign(object['spec'] as object, { unschedulable: false })
  })
  const entries = (story.object?.metadata.managedFields ?? []) as { subresource?: string; fieldsV1: object }[]
  assert.deepEqual(
    entries.map(entry => [entry.subresource, Object.keys(entry.fieldsV1)]),
    [
      [undefined, ['f:spec']],
      ['status', ['f:status']],
    ],
  )
})

test('an entry gets a new time only when its manager changes something', () => {
  const story = new Story(CONFIG_MAP)
  story.apply({ manager: 'a', at: 1 }, { data: { x: '1' } })
  story.apply({ manager: 'a', at: 2 }, { data: { x: '1' } })
  assert.equal(story.timeOf('a'), timeAt(1))
  story.update({ manager: 'u', at: 3 }, () => {})
  assert.equal(story.timeOf('u'), undefined)
  story.apply({ manager: 'a', at: 4 }, { data: { x: '1', y: '2' } })
  assert.equal(story.timeOf('a'), timeAt(4))
})

test('one empty entry makes everybody lose everything, an empty list changes nothing', () => {
  const story = new Story(CONFIG_MAP)
  story.apply('a', { data: { x: '1' } })
  story.update('u', object => {
    object.metadata.managedFields = []
  })
  assert.deepEqual(story.owners(), { a: ['.data.x'] })
  story.update('u', object => {
    object.metadata.managedFields = [{}]
  })
  assert.equal(story.object?.metadata.managedFields, undefined)
  story.update('u', object => {
    object['data'] = { x: '2' }
  })
  assert.equal(story.object?.metadata.managedFields, undefined)
})

test('the first configuration for an object that nobody owns finds it owned by before-first-apply', () => {
  const story = new Story(CONFIG_MAP)
  story.update('u', { data: { x: '1', y: '1' } })
  story.update('u', object => {
    object.metadata.managedFields = [{}]
  })
  assert.equal(
    refusal(() => story.apply('a', { data: { x: '2' } })).message,
    'Apply failed with 1 conflict: conflict with "before-first-apply" using v1: .data.x',
  )
  story.apply('a', { data: { x: '1' } })
  assert.deepEqual(story.owners(), {
    a: ['.data.x'],
    'before-first-apply/Update': ['.data', '.data.x', '.data.y'],
  })
})

test('more than ten updaters are merged, oldest first', () => {
  const story = new Story(CONFIG_MAP)
  story.update({ manager: 'u0', at: 0 }, { data: { k0: '0' } })
  for (let index = 1; index <= 12; index++) {
    story.update({ manager: `u${index}`, at: index }, object => {
      object['data'] = { ...(object['data'] as object), [`k${index}`]: String(index) }
    })
  }
  const owners = story.owners()
  assert.equal(Object.keys(owners).length, 10)
  assert.deepEqual(owners['ancient-changes/Update'], [
    '.data',
    '.data.k0',
    '.data.k1',
    '.data.k2',
    '.data.k3',
  ])
  assert.equal(story.timeOf('ancient-changes'), timeAt(3))
})

test('kubectl takes over what it applied on the client side, and only that', () => {
  const annotation = 'kubectl.kubernetes.io/last-applied-configuration'
  const applied = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'x', annotations: {} },
    data: { mine: '1' },
  }
  const story = new Story(CONFIG_MAP)
  story.update('kubectl-client-side-apply', {
    metadata: { annotations: { [annotation]: JSON.stringify(applied) } },
    data: { mine: '1', other: '1' },
  })
  const other = refusal(() => story.apply('kubectl', { data: { mine: '2', other: '2' } }))
  assert.equal(
    other.message,
    'Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using v1: .data.other',
  )
  assert.match(refusal(() => story.apply('flux', { data: { mine: '2' } })).message, /\.data\.mine$/)
  story.apply('kubectl', { data: { mine: '2' } })
  assert.deepEqual(story.data, { mine: '2', other: '1' })
  assert.equal(
    story.object?.metadata.annotations?.[annotation],
    '{"apiVersion":"v1","data":{"mine":"2"},"kind":"ConfigMap","metadata":{"name":"x"}}\n',
  )
})

test('a configuration of unknown fields and wrong types is described in upstream`s words', () => {
  const problems = configurationProblems(applySchema(model, DEPLOYMENT), {
    spec: {
      foo: 1,
      replicas: 'x',
      paused: 1,
      template: {
        spec: { containers: ['x', { name: 'a' }, { name: 'a', image: 5 }], volumes: {} },
      },
    },
  })
  assert.equal(
    problemsText(problems),
    [
      'errors:',
      '  .spec.foo: field not declared in schema',
      '  .spec.replicas: expected numeric (int or float), got string',
      '  .spec.paused: expected boolean, got int64',
      '  .spec.template.spec.containers: element 0: associative list with keys may not have non-map elements',
      '  .spec.template.spec.containers: duplicate entries for key [name="a"]',
      '  .spec.template.spec.containers[name="a"].image: expected string, got &value.valueUnstructured{Value:5}',
      '  .spec.template.spec.volumes: expected list, got &{map[]}',
    ].join('\n'),
  )
})

test('the manager is named by the request, else by its program', () => {
  assert.equal(managerName('me', 'kubectl/v1.36'), 'me')
  assert.equal(managerName('', 'kubectl/v1.36.0 (linux/amd64)'), 'kubectl')
  assert.equal(managerName('', ''), 'unknown')
  assert.equal(managerName('', 'a\u0007b/1'), 'ab')
  assert.equal(managerName('', 'x'.repeat(300)).length, 128)
})
