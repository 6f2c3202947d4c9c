/**
 * What a person does with kubectl on the first day, against upstream's figures for the same commands on this class
 * of machine (kube-apiserver with etcd; upstream itself cannot run here). kubectl's own start-up is in every figure.
 */
import { apiFor } from '../test/support/api.ts'
import { installCluster, type TestCluster } from '../test/support/cluster.ts'
import { until } from '../test/support/until.ts'
import { measureContainers } from './containers.ts'
import { type Figure, median } from './figure.ts'

const RUNS = 5
const seconds = (start: number) => (performance.now() - start) / 1000

/** Upstream's medians in seconds. */
const UPSTREAM = { create: 0.479, unchanged: 0.856, serverSide: 0.51 }
const EXPLAIN_GOAL_S = 0.5
const EXEC_GOAL_S = 0.15

function threeObjects(name: string): string {
  const metadata = { name, labels: { app: name } }
  const objects = [
    { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { colour: 'green' } },
    { apiVersion: 'v1', kind: 'Service', metadata, spec: { selector: { app: name }, ports: [{ port: 80 }] } },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata,
      spec: {
        replicas: 0,
        selector: { matchLabels: { app: name } },
        template: {
          metadata: { labels: { app: name } },
          spec: { containers: [{ name: 'c', image: 'localhost/c' }] },
        },
      },
    },
  ]
  return objects.map(object => JSON.stringify(object)).join('\n---\n')
}

async function timed(times: number[], work: () => Promise<unknown>): Promise<void> {
  const start = performance.now()
  await work()
  times.push(seconds(start))
}

async function measureOn(cluster: TestCluster): Promise<Figure[]> {
  const { kubectl } = cluster
  const api = apiFor(cluster.kubeconfig)
  const times = { create: [], unchanged: [], serverSide: [], explain: [], exec: [], kubectl: [] } as Record<
    string,
    number[]
  >
  const series = (name: string) => times[name] ?? []
  const pod =
    '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"box"},"spec":{"containers":[{"name":"c","image":"localhost/sh","command":["sleep","3600"]}]}}'
  await kubectl.ok(['create', '-f', '-'], { input: pod })
  await kubectl.ok(['wait', '--for=condition=Ready', 'pod/box', '--timeout=60s'])
  await until('the API answers', async () => (await api('/readyz')).text === 'ok')
  for (let run = 0; run < RUNS; run++) {
    const input = threeObjects(`run-${run}`)
    const serverSide = threeObjects(`side-${run}`)
    await timed(series('create'), () => kubectl.ok(['apply', '-f', '-'], { input }))
    await timed(series('unchanged'), () => kubectl.ok(['apply', '-f', '-'], { input }))
    await timed(series('serverSide'), () =>
      kubectl.ok(['apply', '--server-side', '-f', '-'], { input: serverSide }),
    )
    await timed(series('explain'), () => kubectl.ok(['explain', 'pod.spec']))
    await timed(series('kubectl'), () => kubectl.ok(['version', '--client']))
    await timed(series('exec'), () => kubectl.ok(['exec', 'box', '--', 'echo', 'x']))
  }
  const figure = (name: string, us: number, goal: number): Figure => ({
    figure: name,
    us,
    peer: null,
    unit: 's',
    goal,
  })
  return [
    figure('kubectl apply of three objects, create', median(series('create')), UPSTREAM.create),
    figure('kubectl apply of three objects, unchanged', median(series('unchanged')), UPSTREAM.unchanged),
    figure('kubectl apply --server-side of three objects', median(series('serverSide')), UPSTREAM.serverSide),
    figure('kubectl explain pod.spec', median(series('explain')), EXPLAIN_GOAL_S),
    figure(
      'exec, beyond the start of kubectl itself',
      median(series('exec')) - median(series('kubectl')),
      EXEC_GOAL_S,
    ),
  ]
}

export async function measure(): Promise<Figure[]> {
  const cluster = await installCluster()
  try {
    return [...(await measureOn(cluster)), ...(await measureContainers())]
  } finally {
    await cluster.remove()
  }
}
