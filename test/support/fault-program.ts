/**
 * Loaded into real processes of mk8s with `--import`: notes the steps that they take on the disk for a restore, and
 * lets a process die, or the disk be full, right before the one that a test has named in `faults.ts`.
 */
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { isAbsolute, join, relative } from 'node:path'
import { isMainThread } from 'node:worker_threads'
import type { Fault } from './faults.ts'

const directory = process.env['MK8S_TEST_FAULTS'] ?? ''
const argv = process.argv.slice(2)
const given = argv.indexOf('--data-dir')
const dataDir = given < 0 ? (process.env['MK8S_DATA_DIR'] ?? '') : (argv[given + 1] ?? '')
const inDaemon = argv.includes('daemon')
const { appendFileSync, existsSync, readFileSync, unlinkSync } = fs

const OF_INTEREST = /(^|\/)(recovery|before-restore)(\/|$)/
const SYNCHRONOUS = [
  'mkdirSync',
  'renameSync',
  'linkSync',
  'rmSync',
  'writeFileSync',
  'openSync',
  'copyFileSync',
]
const PROMISED = ['mkdir', 'rename', 'open', 'writeFile']

function nameOf(call: string, paths: readonly string[]): string {
  const names = paths.map(path => relative(dataDir, path))
  const plain = names.map(name =>
    name.replace(/before-restore-[0-9TZ-]+/, 'before-restore').replace(/\.\d+\.(tmp|part)$/, '.$1'),
  )
  return `${call.replace('Sync', '')} ${plain.join(' ')}`
}

function before(call: string, args: readonly unknown[]): void {
  const paths = args.slice(0, 2).filter((arg): arg is string => typeof arg === 'string' && isAbsolute(arg))
  const name = nameOf(call, paths)
  if (!name.split(' ').some(part => OF_INTEREST.test(part))) return
  const step = `${inDaemon ? 'daemon' : 'command'} ${name}`
  if (existsSync(join(directory, 'record')))
    appendFileSync(join(directory, 'record'), `${step}\t${dataDir}\n`)
  const next = join(directory, 'next.json')
  if (!existsSync(next)) return
  const fault = JSON.parse(readFileSync(next, 'utf8')) as Fault
  if (step !== fault.step || (fault.dataDir !== undefined && fault.dataDir !== dataDir)) return
  unlinkSync(next)
  if (fault.what === 'kill') process.kill(process.pid, 'SIGKILL')
  throw Object.assign(new Error(`ENOSPC: no space left on device, ${name}`), { code: 'ENOSPC', errno: -28 })
}

type Call = (...args: unknown[]) => unknown

function patch(holder: object, calls: readonly string[]): void {
  const table = holder as Record<string, Call>
  for (const call of calls) {
    const real = table[call]
    if (real === undefined) continue
    const isPromised = holder === fs.promises
    table[call] = (...args) => {
      if (!isPromised) before(call, args)
      else
        try {
          before(call, args)
        } catch (error) {
          return Promise.reject(error)
        }
      return real.apply(holder, args)
    }
  }
}

if (isMainThread && directory !== '' && dataDir !== '') {
  patch(fs, SYNCHRONOUS)
  patch(fs.promises, PROMISED)
  syncBuiltinESMExports()
}
