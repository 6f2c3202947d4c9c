/** A registries.yaml as K3s has it: what its files hold takes the place of their names. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { Mk8sError, messageOf } from '../../base/errors.ts'
import { type RegistriesDocument, registriesProblems } from '../../kube/registries/registries.ts'
import { parseYaml } from '../../kube/yaml.ts'

const FILES = { ca_file: 'ca', cert_file: 'cert', key_file: 'key' } as const
type Fields = Record<string, unknown>

export function readRegistriesFile(path: string): RegistriesDocument {
  const value = read(path, text => parseYaml(text)) ?? {}
  const configs = Object.values(fieldsOf(fieldsOf(value)['configs']))
  for (const config of configs) inlineFiles(fieldsOf(fieldsOf(config)['tls']))
  const problems = registriesProblems(value)
  if (problems.length === 0) return value as RegistriesDocument
  throw new Mk8sError('config/invalid', `${path} cannot be used`, { why: problems.join('\n') })
}

function inlineFiles(tls: Fields): void {
  for (const [from, to] of Object.entries(FILES)) {
    const file = tls[from]
    if (typeof file !== 'string') continue
    tls[to] = readPem(file)
    delete tls[from]
  }
}

export const readPem = (path: string): string => read(resolve(path), text => text)

function read<T>(path: string, parse: (text: string) => T): T {
  try {
    return parse(readFileSync(path === '-' ? 0 : path, 'utf8'))
  } catch (error) {
    throw new Mk8sError('config/unreadable', `${path} cannot be read`, { why: messageOf(error) })
  }
}

const fieldsOf = (value: unknown): Fields =>
  typeof value === 'object' && value !== null ? (value as Fields) : {}
