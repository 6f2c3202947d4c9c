/**
 * `npm start`: a one-node cluster on this machine with a workload that serves, from nothing.
 * Running it again finds the cluster there and brings the sample up to date.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'

const root = join(import.meta.dirname, '..')
const mk8s = join(root, 'bin/mk8s')
const bin = join(root, 'build/bin')
const env = { ...process.env, PATH: `${process.env.PATH ?? ''}${delimiter}${bin}` }
const ROLLOUT_TIMEOUT = '120s'
const NODE_PORT = 30080

function run(args: readonly string[], input?: string): void {
  const stdio = [input === undefined ? 'inherit' : 'pipe', 'inherit', 'inherit'] as const
  const ran = spawnSync(mk8s, args, { env, stdio: [...stdio], ...(input === undefined ? {} : { input }) })
  if (ran.error) throw ran.error
  if (ran.status !== 0) process.exit(ran.status ?? 1)
}

run(['install', '--runtime', 'process'])
const sample = readFileSync(join(root, 'samples/web/web.yaml'), 'utf8').replaceAll(
  '__NODE__',
  process.execPath,
)
run(['kubectl', 'apply', '-f', '-'], sample)
run(['kubectl', 'rollout', 'status', 'deployment/web', `--timeout=${ROLLOUT_TIMEOUT}`])
run(['kubectl', 'get', 'pods,services', '-o', 'wide'])

const url = `http://127.0.0.1:${NODE_PORT}/`
const hasCurl = (env.PATH ?? '').split(delimiter).some(directory => existsSync(join(directory, 'curl')))
process.stdout.write(`\nThe sample answers at:\n\n  ${hasCurl ? 'curl' : 'wget -qO-'} ${url}\n\n`)
process.stdout.write(
  'Go on with  bin/mk8s status,  bin/mk8s kubectl get all -A,  and when done  bin/mk8s uninstall\n',
)
