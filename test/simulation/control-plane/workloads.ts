/** What the control plane is asked for in the simulation; pods leave lost nodes soon. */
import type { Wanted } from './world.ts'

export const NAMESPACE = 'simulated'
export const COMPLETIONS = 8
const LEAVE_SECONDS = 10
const JOB_RUNS_MS = 2_000

function template(
  app: string,
  { version }: Pick<Wanted, 'version'>,
  over: object = {},
  annotations: object = {},
) {
  const gone = { operator: 'Exists', effect: 'NoExecute', tolerationSeconds: LEAVE_SECONDS }
  return {
    metadata: { labels: { app }, annotations },
    spec: {
      terminationGracePeriodSeconds: 1,
      automountServiceAccountToken: false,
      tolerations: ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable'].map(key => ({
        key,
        ...gone,
      })),
      containers: [
        { name: 'main', image: 'localhost/main', env: [{ name: 'VERSION', value: String(version) }] },
      ],
      ...over,
    },
  }
}

const named = (kind: string, name: string) => ({
  apiVersion: kind === 'Job' ? 'batch/v1' : 'apps/v1',
  kind,
  metadata: { name, namespace: NAMESPACE },
})

const selecting = (app: string) => ({ selector: { matchLabels: { app } } })

export function deployment(wanted: Wanted) {
  const spec = { replicas: wanted.replicas, ...selecting('web'), template: template('web', wanted) }
  return { ...named('Deployment', 'web'), spec }
}

export function statefulSet(wanted: Wanted) {
  const spec = {
    replicas: wanted.members,
    serviceName: 'db',
    ...selecting('db'),
    template: template('db', wanted),
  }
  return { ...named('StatefulSet', 'db'), spec }
}

export function daemonSet(wanted: Wanted) {
  return {
    ...named('DaemonSet', 'agent'),
    spec: { ...selecting('agent'), template: template('agent', wanted) },
  }
}

export function job() {
  const behaviour = { 'simulated.mk8s.io/run-for-ms': String(JOB_RUNS_MS) }
  const spec = {
    completions: COMPLETIONS,
    parallelism: 2,
    completionMode: 'Indexed',
    backoffLimit: 1_000,
    template: template('work', { version: 1 }, { restartPolicy: 'Never' }, behaviour),
  }
  return { ...named('Job', 'work'), spec }
}
