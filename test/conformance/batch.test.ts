/** What Kubernetes' conformance expects of jobs and cron jobs, with the real kubectl and real processes. */
import assert from 'node:assert/strict'
import test, { after, before, describe } from 'node:test'
import { at, itemsOf, type Namespace, named, nameOf, type Suite, startSuite } from '../support/conformance.ts'
import { until } from '../support/until.ts'

const WAIT_MS = 120_000
const INDEX = 'batch.kubernetes.io/job-completion-index'
let suite: Suite
let namespace: Namespace
before(async () => {
  suite = await startSuite()
  namespace = await suite.namespace('batch')
})
after(() => suite?.cluster.remove())

const template = (script: string) => ({
  spec: {
    restartPolicy: 'Never',
    terminationGracePeriodSeconds: 0,
    containers: [{ name: 'c', image: 'localhost/sh', command: ['/bin/sh', '-c', script] }],
  },
})
const jobsPath = () => namespace.of('batch/v1', 'jobs')
const makeJob = (name: string, script: string, spec: object = {}) =>
  suite.ok(
    'POST',
    jobsPath(),
    named('batch/v1', 'Job', name, { spec: { template: template(script), ...spec } }),
  )
const jobOf = (name: string) => suite.ok('GET', `${jobsPath()}/${name}`)

/** The job once it has the condition. */
function untilJob(name: string, type: string): Promise<unknown> {
  return until(
    `${name} is ${type}`,
    async () => {
      const job = await jobOf(name)
      const conditions = (at(job, 'status.conditions') ?? []) as { type: string; status: string }[]
      return conditions.some(each => each.type === type && each.status === 'True') && job
    },
    WAIT_MS,
  )
}

const reasonsOf = (job: unknown) =>
  ((at(job, 'status.conditions') ?? []) as { type: string; reason: string }[]).map(
    ({ type, reason }) => `${type} ${reason}`,
  )
const podsOf = async (job: string) =>
  itemsOf(await suite.ok('GET', `${namespace.core('pods')}?labelSelector=job-name%3D${job}`))

describe('[sig-apps] Job', () => {
  test('should create pods for an Indexed job with completion indexes and specified hostname', async () => {
    await makeJob('indexed', 'test "$JOB_COMPLETION_INDEX" -lt 4', {
      completionMode: 'Indexed',
      completions: 4,
      parallelism: 4,
    })
    const job = await untilJob('indexed', 'Complete')
    assert.equal(at(job, 'status.completedIndexes'), '0-3')
    const pods = await podsOf('indexed')
    const found = pods.map(pod => (at(pod, 'metadata.annotations') as Record<string, string>)[INDEX])
    assert.deepEqual(found.sort(), ['0', '1', '2', '3'])
    for (const pod of pods) {
      const index = (at(pod, 'metadata.labels') as Record<string, string>)[INDEX]
      assert.equal(at(pod, 'spec.hostname'), `indexed-${index}`)
    }
  })

  test('should execute all indexes despite some failing when using backoffLimitPerIndex', async () => {
    await makeJob('per-index', 'exit $((JOB_COMPLETION_INDEX % 2))', {
      completionMode: 'Indexed',
      completions: 4,
      parallelism: 4,
      backoffLimitPerIndex: 0,
    })
    const job = await untilJob('per-index', 'Failed')
    assert.deepEqual(reasonsOf(job), ['FailureTarget FailedIndexes', 'Failed FailedIndexes'])
    assert.equal(at(job, 'status.completedIndexes'), '0,2')
    assert.equal(at(job, 'status.failedIndexes'), '1,3')
  })

  test('should terminate job execution when the number of failed indexes exceeds maxFailedIndexes', async () => {
    await makeJob('max-failed', 'test "$JOB_COMPLETION_INDEX" -gt 1 && exec sleep 600; exit 1', {
      completionMode: 'Indexed',
      completions: 4,
      parallelism: 4,
      backoffLimitPerIndex: 0,
      maxFailedIndexes: 1,
    })
    const job = await untilJob('max-failed', 'Failed')
    assert.deepEqual(reasonsOf(job), [
      'FailureTarget MaxFailedIndexesExceeded',
      'Failed MaxFailedIndexesExceeded',
    ])
    assert.equal(at(job, 'status.failedIndexes'), '0,1')
  })

  test('should mark indexes as failed when the FailIndex action is matched in podFailurePolicy', async () => {
    const onExitCodes = { operator: 'In', values: [42] }
    await makeJob('fail-index', 'test "$JOB_COMPLETION_INDEX" = 0 && exit 42; exit 0', {
      completionMode: 'Indexed',
      completions: 2,
      parallelism: 2,
      backoffLimitPerIndex: 1,
      podFailurePolicy: { rules: [{ action: 'FailIndex', onExitCodes }] },
    })
    const job = await untilJob('fail-index', 'Failed')
    assert.equal(at(job, 'status.failedIndexes'), '0')
    assert.equal(at(job, 'status.completedIndexes'), '1')
    assert.equal(at(job, 'status.failed'), 1)
  })

  test('should allow to use the pod failure policy on exit code to fail the job early', async () => {
    const onExitCodes = { operator: 'In', values: [42] }
    const podFailurePolicy = { rules: [{ action: 'FailJob', onExitCodes }] }
    await makeJob('fail-job', 'exit 42', {
      completions: 2,
      parallelism: 1,
      backoffLimit: 3,
      podFailurePolicy,
    })
    const job = await untilJob('fail-job', 'Failed')
    assert.deepEqual(reasonsOf(job), ['FailureTarget PodFailurePolicy', 'Failed PodFailurePolicy'])
  })

  test('with successPolicy succeededIndexes rule should succeeded even when some indexes remain pending', async () => {
    await makeJob('success', 'test "$JOB_COMPLETION_INDEX" = 0 || exec sleep 600', {
      completionMode: 'Indexed',
      completions: 3,
      parallelism: 2,
      successPolicy: { rules: [{ succeededIndexes: '0' }] },
    })
    const job = await untilJob('success', 'Complete')
    assert.deepEqual(reasonsOf(job), ['SuccessCriteriaMet SuccessPolicy', 'Complete SuccessPolicy'])
    assert.equal(at(job, 'status.completedIndexes'), '0')
  })

  test('with successPolicy succeededCount rule should succeeded even when some indexes remain pending', async () => {
    await makeJob('counted', 'test "$JOB_COMPLETION_INDEX" = 0 || exec sleep 600', {
      completionMode: 'Indexed',
      completions: 3,
      parallelism: 2,
      successPolicy: { rules: [{ succeededIndexes: '0-1', succeededCount: 1 }] },
    })
    const job = await untilJob('counted', 'Complete')
    assert.deepEqual(reasonsOf(job), ['SuccessCriteriaMet SuccessPolicy', 'Complete SuccessPolicy'])
    assert.equal(at(job, 'status.succeeded'), 1)
  })

  test('with successPolicy should succeeded when all indexes succeeded', async () => {
    await makeJob('all-indexes', 'exit 0', {
      completionMode: 'Indexed',
      completions: 2,
      parallelism: 2,
      successPolicy: { rules: [{ succeededIndexes: '0-1' }] },
    })
    const job = await untilJob('all-indexes', 'Complete')
    assert.deepEqual(reasonsOf(job), ['SuccessCriteriaMet SuccessPolicy', 'Complete SuccessPolicy'])
    assert.equal(at(job, 'status.completedIndexes'), '0,1')
  })

  test('should run a job to completion when tasks sometimes fail and are locally restarted', async () => {
    const { spec } = template('test -e /data/tried || { touch /data/tried; exit 1; }')
    const [container] = spec.containers
    await makeJob('restarted', '', {
      completions: 2,
      parallelism: 2,
      template: {
        spec: {
          ...spec,
          restartPolicy: 'OnFailure',
          volumes: [{ name: 'data', emptyDir: {} }],
          containers: [{ ...container, volumeMounts: [{ name: 'data', mountPath: '/data' }] }],
        },
      },
    })
    const job = await untilJob('restarted', 'Complete')
    assert.equal(at(job, 'status.succeeded'), 2)
    assert.equal(at(job, 'status.failed'), undefined)
    for (const pod of await podsOf('restarted'))
      assert.equal(at(pod, 'status.containerStatuses.0.restartCount'), 1)
  })

  test('should allow to use a pod failure policy to ignore failure matching on DisruptionTarget condition', async () => {
    await makeJob('ignoring', 'exec sleep 600', {
      completionMode: 'Indexed',
      completions: 2,
      parallelism: 2,
      backoffLimit: 0,
      podFailurePolicy: {
        rules: [
          { action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] },
          { action: 'FailJob', onExitCodes: { operator: 'NotIn', values: [0] } },
        ],
      },
    })
    const running = () =>
      until('two pods run', async () => {
        const pods = (await podsOf('ignoring')).filter(pod => at(pod, 'status.phase') === 'Running')
        return pods.length === 2 && pods
      })
    const before = await running()
    for (const pod of before) {
      const eviction = named('policy/v1', 'Eviction', nameOf(pod))
      await suite.ok('POST', `${namespace.core('pods')}/${nameOf(pod)}/eviction`, eviction)
    }
    await until('they are gone', async () => {
      const names = (await podsOf('ignoring')).map(nameOf)
      return before.every(pod => !names.includes(nameOf(pod)))
    })
    await running()
    const job = await jobOf('ignoring')
    assert.equal(at(job, 'status.failed'), undefined)
    assert.deepEqual(reasonsOf(job), [])
    await suite.ok('DELETE', `${jobsPath()}/ignoring?propagationPolicy=Background`)
  })

  test('a job that is suspended while it runs may be sent elsewhere before it goes on', async () => {
    const where = { template: { spec: { nodeSelector: { 'kubernetes.io/os': 'linux' } } } }
    const patch = (spec: object) =>
      suite.ok('PATCH', `${jobsPath()}/moved`, { spec }, 'strategic').then(() => {})
    await makeJob('moved', 'exec sleep 600', { parallelism: 1 })
    await until('its pod', async () => (await podsOf('moved')).length === 1)
    const refused = await suite.refused('PATCH', `${jobsPath()}/moved`, { spec: where }, 'strategic')
    assert.match(refused.text, /spec.template.*field is immutable/)
    await patch({ suspend: true })
    const job = await untilJob('moved', 'Suspended')
    assert.equal(at(job, 'status.startTime'), undefined)
    await until('no pods', async () => (await podsOf('moved')).length === 0)
    await patch(where)
    await patch({ suspend: false })
    const [pod] = await until('a new pod', async () => {
      const pods = await podsOf('moved')
      return pods.length === 1 && pods
    })
    assert.deepEqual(at(pod, 'spec.nodeSelector'), { 'kubernetes.io/os': 'linux' })
    await suite.ok('DELETE', `${jobsPath()}/moved?propagationPolicy=Background`)
  })

  test('should adopt matching orphans and release non-matching pods', async () => {
    await makeJob('adopt', 'exec sleep 600', { parallelism: 2, completions: 2 })
    await until('two pods', async () => (await podsOf('adopt')).length === 2, WAIT_MS)
    const [pod] = await podsOf('adopt')
    const path = `${namespace.core('pods')}/${nameOf(pod)}`
    const owner = () =>
      suite
        .ok('GET', path)
        .then(each => at(each, 'metadata.ownerReferences') as { kind: string }[] | undefined)
    await suite.ok('PATCH', path, { metadata: { ownerReferences: null } }, 'merge')
    await until('it is adopted', async () => (await owner())?.[0]?.kind === 'Job', WAIT_MS)
    const labels = at(pod, 'metadata.labels') as Record<string, string>
    const none = Object.fromEntries(Object.keys(labels).map(label => [label, null]))
    await suite.ok('PATCH', path, { metadata: { labels: none } }, 'merge')
    await until('it is released', async () => (await owner()) === undefined, WAIT_MS)
    await suite.kubectl.ok(['-n', namespace.name, 'delete', 'job', 'adopt', '--wait=false'])
  })

  test('should delete a job', async () => {
    await makeJob('foo', 'exec sleep 600', { parallelism: 2, completions: 4 })
    await until('two active pods', async () => at(await jobOf('foo'), 'status.active') === 2, WAIT_MS)
    await suite.kubectl.ok(['-n', namespace.name, 'delete', 'job', 'foo', '--timeout=60s'])
    assert.equal(await suite.exists(`${jobsPath()}/foo`), false)
    await until('its pods go', async () => (await podsOf('foo')).length === 0, WAIT_MS)
  })

  test('should manage the lifecycle of a job', async () => {
    const { kubectl } = suite
    const flags = ['-n', namespace.name]
    await makeJob('life', 'exec sleep 600', { suspend: true, parallelism: 2, completions: 2 })
    await untilJob('life', 'Suspended')
    const labels = { spec: { template: { metadata: { annotations: { changed: 'yes' } } } } }
    await suite.ok('PATCH', `${jobsPath()}/life`, labels, 'merge')
    const image = [{ op: 'replace', path: '/spec/template/spec/containers/0/image', value: 'other' }]
    const refused = await suite.refused('PATCH', `${jobsPath()}/life`, image, 'json')
    assert.match(refused.text, /spec.template: Invalid value.*field is immutable/)
    await suite.ok('PATCH', `${jobsPath()}/life`, { spec: { suspend: false } }, 'merge')
    await until('two ready pods', async () => at(await jobOf('life'), 'status.ready') === 2, WAIT_MS)
    await kubectl.ok([...flags, 'delete', 'job', 'life', '--timeout=60s'])
    assert.equal(await suite.exists(`${jobsPath()}/life`), false)
  })

  test('should apply changes to a job status', async () => {
    await makeJob('status', 'exec sleep 600')
    const path = `${jobsPath()}/status/status`
    const condition = { type: 'Tested', status: 'True', reason: 'E2E', message: 'Set by the test' }
    await until(
      'the patch of the status',
      async () => {
        const { status } = await suite.api(path, {
          method: 'PATCH',
          body: { status: { conditions: [condition] } },
          headers: { 'content-type': 'application/merge-patch+json' },
        })
        return status === 200
      },
      WAIT_MS,
    )
    await suite.kubectl.ok([
      '-n',
      namespace.name,
      'wait',
      '--for=condition=Tested',
      'job/status',
      '--timeout=120s',
    ])
    await suite.kubectl.ok(['-n', namespace.name, 'delete', 'job', 'status', '--wait=false'])
  })
})

describe('[sig-apps] CronJob', () => {
  const path = () => namespace.of('batch/v1', 'cronjobs')
  const makeCronJob = (name: string, spec: object) =>
    suite.ok(
      'POST',
      path(),
      named('batch/v1', 'CronJob', name, {
        spec: { jobTemplate: { spec: { template: template('exit 0') } }, ...spec },
      }),
    )

  test('should support CronJob API operations', async () => {
    await makeCronJob('api', { schedule: '0 0 1 1 *', timeZone: 'Europe/Berlin' })
    const patched = await suite.ok(
      'PATCH',
      `${path()}/api`,
      { metadata: { annotations: { a: 'b' } } },
      'merge',
    )
    assert.equal(at(patched, 'metadata.annotations.a'), 'b')
    const status = { status: { lastScheduleTime: '2026-01-01T00:00:00Z' } }
    await suite.ok('PATCH', `${path()}/api/status`, status, 'merge')
    assert.equal(
      at(await suite.ok('GET', `${path()}/api`), 'status.lastScheduleTime'),
      '2026-01-01T00:00:00Z',
    )
    const zone = await suite.refused(
      'PATCH',
      `${path()}/api`,
      { spec: { schedule: 'TZ=UTC 0 0 * * *' } },
      'merge',
    )
    assert.match(zone.text, /cannot use TZ or CRON_TZ in schedule, use timeZone field instead/)
    await suite.ok('DELETE', `${path()}/api`)
  })

  test('a job is made by hand from a suspended cron job, which makes none itself', async () => {
    const { kubectl } = suite
    const flags = ['-n', namespace.name]
    await makeCronJob('by-hand', { schedule: '@every 1s', suspend: true })
    await kubectl.ok([...flags, 'create', 'job', 'manual', '--from=cronjob/by-hand'])
    await kubectl.ok([...flags, 'wait', '--for=condition=Complete', 'job/manual', '--timeout=60s'])
    const jobs = itemsOf(await suite.ok('GET', jobsPath())).map(nameOf)
    assert.deepEqual(
      jobs.filter(name => name.startsWith('by-hand-')),
      [],
    )
  })

  test('jobs are started by schedule, run, and told of', async () => {
    const { kubectl } = suite
    const flags = ['-n', namespace.name]
    await makeCronJob('often', { schedule: '@every 1s', concurrencyPolicy: 'Forbid' })
    const cronJob = await until(
      'a successful run',
      async () => {
        const found = await suite.ok('GET', `${path()}/often`)
        return at(found, 'status.lastSuccessfulTime') !== undefined && found
      },
      WAIT_MS,
    )
    assert.ok(at(cronJob, 'status.lastScheduleTime'))
    const described = await kubectl.ok([...flags, 'describe', 'cronjob', 'often'])
    assert.match(described, /SuccessfulCreate\s.*Created job often-\d+/)
    assert.match(described, /SawCompletedJob\s.*condition: Complete/)
    await kubectl.ok([...flags, 'delete', 'cronjob', 'often'])
  })
})
