/** What a backup holds, in words and as data. Pure. */
import type { Encryption } from './backup-reader.ts'
import type { BackupManifest } from './manifest.ts'

const encryptions: Readonly<Record<Encryption, string>> = {
  none: 'not encrypted',
  passphrase: 'encrypted with a passphrase',
  'public-key': 'encrypted for a key',
}

export const wordsOf = (encryption: Encryption): string => encryptions[encryption]

export interface DescribedBackup {
  /** Null: streamed. */
  readonly file: string | null
  /** Of the file. */
  readonly bytes: number
  readonly encryption: Encryption
  readonly manifest: BackupManifest
}

/** For `--json`: the manifest with what is known of the file beside it. */
export const dataOf = ({ manifest, ...file }: DescribedBackup): object => ({ ...file, ...manifest })

export function describeBackup({ file, bytes, encryption, manifest }: DescribedBackup): string {
  const { counts, keys, hasKeys, leftOut } = manifest
  const objects = Object.values(counts).reduce((sum, count) => sum + count, 0)
  const contents = [
    'cluster state and configuration',
    ...(hasKeys ? ['authority and service-account keys'] : []),
  ]
  const rows: [string, string][] = [
    ['file', `${file ?? 'standard output'} (${sizeInWords(bytes)}, ${wordsOf(encryption)})`],
    ['cluster', manifest.clusterId],
    ['made', `${manifest.createdAt} on ${manifest.nodeName}, mk8s ${manifest.mk8sVersion}`],
    ['revision', String(manifest.revision)],
    ['contents', contents.join(', ')],
    ...leftOut.map((name): [string, string] => [
      'left out',
      `Secret ${name}: credentials of a backup target`,
    ]),
    ['objects', `${objects} (${keys} keys in all)`],
  ]
  const width = Math.max(0, ...Object.keys(counts).map(name => name.length))
  return [
    ...rows.map(([name, value]) => `${`${name}:`.padEnd(10)}${value}`),
    ...Object.entries(counts).map(([name, count]) => `  ${name.padEnd(width)}  ${count}`),
  ].join('\n')
}

export function sizeInWords(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB']
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3))
  return power === 0 ? `${bytes} bytes` : `${(bytes / 1000 ** power).toFixed(1)} ${units[power]}`
}

/** `mk8s-backup-<cluster>-<time>.mk8sbackup`, in order of time. */
export function defaultName({
  clusterId,
  createdAt,
}: Pick<BackupManifest, 'clusterId' | 'createdAt'>): string {
  const time = createdAt.replace(/\.\d+Z$/, 'Z').replaceAll(/[-:]/g, '')
  return `mk8s-backup-${clusterId.slice(0, 8)}-${time}${BACKUP_EXTENSION}`
}

export const BACKUP_EXTENSION = '.mk8sbackup'
