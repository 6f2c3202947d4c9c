/** What an executable is made of: a bill of materials in CycloneDX's form, and the licences of it all as text. */
import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

interface Component {
  readonly folder: string
  readonly name: string
  readonly version: string
  readonly license: string
  readonly integrity: string | undefined
}

interface LockedPackage {
  readonly integrity?: string
}

/** What comes from the system that builds rather than from npm. */
export interface SystemPart {
  readonly name: string
  readonly version: string
  readonly license: string
  readonly sha256: string
  readonly text: string
}

export interface BillParts {
  readonly root: string
  readonly version: string
  /** ISO 8601; that of the commit, so that one commit makes one bill. Empty without one. */
  readonly date: string
  /** Folders below `root` of all packages that are in it, Node's among them. */
  readonly packages: readonly string[]
  readonly system: readonly SystemPart[]
}

function componentsOf({ root, packages }: BillParts): Component[] {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    readonly packages: Readonly<Record<string, LockedPackage>>
  }
  return packages.map(folder => {
    const { name, version, license } = JSON.parse(
      readFileSync(join(root, folder, 'package.json'), 'utf8'),
    ) as Record<'name' | 'version' | 'license', string>
    return { folder, name, version, license, integrity: lock.packages[folder]?.integrity }
  })
}

/** CycloneDX 1.6 as JSON. */
export function billOfMaterials(parts: BillParts): string {
  const fromNpm = componentsOf(parts).map(({ name, version, license, integrity }) => ({
    type: name.startsWith('node-') ? 'platform' : 'library',
    'bom-ref': `${name}@${version}`,
    name,
    version,
    ...(integrity?.startsWith('sha512-')
      ? { hashes: [{ alg: 'SHA-512', content: Buffer.from(integrity.slice(7), 'base64').toString('hex') }] }
      : {}),
    licenses: [/[ ()]/.test(license) ? { expression: license } : { license: { id: license } }],
    purl: `pkg:npm/${name.replace('@', '%40')}@${version}`,
  }))
  const fromSystem = parts.system.map(({ name, version, license, sha256 }) => ({
    type: 'library',
    'bom-ref': `${name}@${version}`,
    name,
    version,
    hashes: [{ alg: 'SHA-256', content: sha256 }],
    licenses: [{ expression: license }],
    purl: `pkg:deb/debian/${encodeURIComponent(name)}@${encodeURIComponent(version)}`,
  }))
  const components = [...fromNpm, ...fromSystem]
  const mk8s = {
    type: 'application',
    'bom-ref': `mk8s@${parts.version}`,
    name: 'mk8s',
    version: parts.version,
    licenses: [{ license: { id: 'Apache-2.0' } }],
  }
  const bill = {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: { ...(parts.date === '' ? {} : { timestamp: parts.date }), component: mk8s },
    components,
    dependencies: [{ ref: mk8s['bom-ref'], dependsOn: components.map(component => component['bom-ref']) }],
  }
  return `${JSON.stringify(bill, null, 2)}\n`
}

/** Ours first, then each package's own licence and notice, or its licence's name where it ships no text. */
export function licences(parts: BillParts): string {
  const own = ['LICENSE', 'NOTICE'].map(file => readFileSync(join(parts.root, file), 'utf8').trim())
  const others = componentsOf(parts).map(({ folder, name, version, license }) => {
    const directory = join(parts.root, folder)
    const files = globSync('{LICEN[CS]E,licen[cs]e,NOTICE,COPYING}*', { cwd: directory }).sort()
    const texts = files
      .filter(file => existsSync(join(directory, file)) && !file.endsWith('.js'))
      .map(file => readFileSync(join(directory, file), 'utf8').trim())
    return [`${name} ${version} (${license})`, ...(texts.length > 0 ? texts : [`Licence: ${license}`])].join(
      '\n\n',
    )
  })
  const texts = Map.groupBy(parts.system, ({ text }) => text)
  const system = [...texts].map(([text, all]) =>
    [...all.map(({ name, version, license }) => `${name} ${version} (${license})`), text].join('\n\n'),
  )
  return `${[`mk8s ${parts.version}`, ...own, ...others, ...system].join(`\n\n${'-'.repeat(80)}\n\n`)}\n`
}
