/** A little registry as a process: `registry-program.ts ADDRESS REPOSITORY USER PASSWORD`; tells where it is, then what it was asked. */
import { sampleImage, startRegistry } from './registry.ts'

const [address = '127.0.0.1', repository = 'team/web', username = '', password = ''] = process.argv.slice(2)
const registry = await startRegistry(
  { [repository]: sampleImage(repository, 100_000) },
  username === '' ? {} : { login: { username, password } },
  address,
)
process.stdout.write(`${registry.host}\n`)
