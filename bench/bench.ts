/** `npm run bench -- NAME [--json]`: one benchmark; exit 0 only if every figure holds. */
import { report } from './figure.ts'

const benchmarks = {
  'first-cluster': async () => (await import('./first-cluster.ts')).measure(),
  everyday: async () => (await import('./everyday.ts')).measure(),
  cluster: async () => (await import('./cluster.ts')).measure(),
  raft: async () => (await import('./raft.ts')).measure(),
  backup: async () => (await import('./backup.ts')).measure(),
  executable: async () => (await import('./executable.ts')).measure(),
  runtimes: async () => (await import('./runtimes.ts')).measure(),
  services: async () => (await import('./services.ts')).measure(),
  dns: async () => (await import('./dns.ts')).measure(),
  addons: async () => (await import('./addons.ts')).measure(),
  registry: async () => (await import('./registry.ts')).measure(),
  dashboard: async () => (await import('./dashboard.ts')).measure(),
  api: async () => (await import('./api.ts')).measure(),
  scheduling: async () => (await import('./scheduling.ts')).measure(),
}

const names = Object.keys(benchmarks)
const [name] = process.argv.slice(2)
if (name === undefined || !Object.hasOwn(benchmarks, name)) {
  process.stderr.write(`usage: npm run bench -- NAME [--json]\nNAME is one of: ${names.join(', ')}\n`)
  process.exit(2)
}
const figures = await benchmarks[name as keyof typeof benchmarks]()
process.exit(report(figures, process.argv.includes('--json')) ? 0 : 1)
