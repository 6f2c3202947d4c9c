/**
 * `npm start`: a one-node cluster on this machine with a workload that serves, from nothing: in containers where
 * the machine can run them, else as processes. Running it again brings the sample up to date.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'

const root = join(import.meta.dirname, '..')
const mk8s = join(root, 'bin/mk8s')
const path = process.env.PATH ?? ''
const env = { ...process.env, PATH: `${path}${delimiter}${join(root, 'build/bin')}` }
const ROLLOUT_TIMEOUT = '120s'
const NODE_PORT = 30080
const IMAGE = 'localhost/mk8s/web:1'

interface Streams {
  readonly input?: string
  /** Return standard output rather than show it. */
  readonly capture?: boolean
}

/** Runs an mk8s command; when it fails, this ends with the same exit code. */
function run(args: readonly string[], { input, capture }: Streams = {}): string {
  const ran = spawnSync(mk8s, args, {
    env,
    encoding: 'utf8',
    stdio: [input === undefined ? 'inherit' : 'pipe', capture ? 'pipe' : 'inherit', 'inherit'],
    ...(input === undefined ? {} : { input }),
  })
  if (ran.error) throw ran.error
  if (ran.status !== 0) process.exit(ran.status ?? 1)
  return ran.stdout ?? ''
}

function sampleFor(runtime: string): string {
  if (['oci', 'containerd'].includes(runtime)) {
    run(['images', 'import', '--busybox', IMAGE])
    return readFileSync(join(root, 'samples/web/containers.yaml'), 'utf8')
  }
  const text = readFileSync(join(root, 'samples/web/processes.yaml'), 'utf8')
  return text.replaceAll('__NODE__', process.execPath)
}

run(['install'])
const status = JSON.parse(run(['status', '--format', 'json'], { capture: true })) as {
  runtime: { name: string }
}
run(['kubectl', 'apply', '-f', '-'], { input: sampleFor(status.runtime.name) })
run(['kubectl', 'rollout', 'status', 'deployment/web', `--timeout=${ROLLOUT_TIMEOUT}`])
run(['kubectl', 'get', 'pods,services', '-o', 'wide'])

const hasCurl = path.split(delimiter).some(directory => existsSync(join(directory, 'curl')))
process.stdout.write(
  `\nThe sample answers at:\n\n  ${hasCurl ? 'curl' : 'wget -qO-'} http://127.0.0.1:${NODE_PORT}/\n\n`,
)
process.stdout.write(
  'Go on with  bin/mk8s status,  bin/mk8s kubectl get all -A,  and when done  bin/mk8s uninstall\n',
)
