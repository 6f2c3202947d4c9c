/** What `mk8s recover` says before and after. Pure: texts out of facts. */
import { bracketed } from '../base/bracketed.ts'

export interface OtherMember {
  readonly nodeName: string
  readonly role: string
  readonly joinAddress: { readonly host: string; readonly port: number }
}

export interface RecoveryFacts {
  readonly nodeName: string
  readonly oldClusterId: string
  readonly newClusterId: string
  readonly lastTerm: number
  readonly lastIndex: number
  readonly commit: number
  readonly uncertain: number
  readonly revision: number
  readonly keys: number
  readonly others: readonly OtherMember[]
  readonly joinTokens: number
  readonly keptIn: string
  readonly datastoreBytes: number
}

const MEBIBYTE = 2 ** 20
const whereIs = ({ joinAddress: { host, port } }: OtherMember): string => `${bracketed(host)}:${port}`

/** What will be done, and what may be lost. */
export function renderRecoveryPlan(facts: RecoveryFacts, dataDir: string): string {
  const { nodeName, others, keptIn } = facts
  const uncertain =
    facts.uncertain === 0
      ? ['Every entry of its log is known to be committed.']
      : [
          `Entries at the end of its log that were never known here to be committed: ${facts.uncertain}. They are`,
          'kept, because nobody is left who could say whether they were acknowledged.',
        ]
  return [
    `This makes ${nodeName} a cluster of one server, with the data that it has:`,
    `  log up to entry ${facts.lastIndex} of term ${facts.lastTerm}, known to be committed up to ${facts.commit}`,
    `  revision ${facts.revision}, ${facts.keys} keys`,
    ...uncertain,
    'What only the others acknowledged after that is lost. If more than one server survived, recover on the one',
    'whose last entry has the highest term and, among those, the highest index (see --dry-run).',
    '',
    others.length === 0 ? 'No other server is known.' : 'These servers are cut off for good:',
    ...others.map(other => `  ${other.nodeName}  ${whereIs(other)}  ${other.role}`),
    ...(others.length === 0 ? [] : ['Their Node objects stay until mk8s remove-node NAME; workers go on.']),
    ...(facts.joinTokens === 0 ? [] : [`Join tokens that become void: ${facts.joinTokens}.`]),
    '',
    `The cluster gets a new id, ${facts.newClusterId}, and a new authority for links between servers.`,
    `The present datastore (${(facts.datastoreBytes / MEBIBYTE).toFixed(1)} MiB) is kept in ${dataDir}/${keptIn}.`,
  ].join('\n')
}

export function renderRecovered(
  { nodeName, newClusterId, others, keptIn }: RecoveryFacts,
  dataDir: string,
): string {
  const names = others.map(other => other.nodeName).join(', ')
  const rejoin =
    others.length === 0
      ? []
      : [
          '',
          `How ${names} come back, as new members without their old data:`,
          '  here:   mk8s remove-node NAME --force   (for those that will not come back, too)',
          '  here:   mk8s add-node',
          '  there:  mk8s uninstall --yes',
          '  there:  the mk8s join command that add-node printed',
          `Wipe them before they are started where they cannot reach ${nodeName}: a majority of the old servers would`,
          'serve the old state again, and users and workers could not tell.',
        ]
  return [
    `${nodeName} is Ready and leads the new cluster ${newClusterId}.`,
    `What was there before is in ${dataDir}/${keptIn}; delete it when you need it no more.`,
    ...rejoin,
  ].join('\n')
}

export function questionAboutOthers(others: readonly OtherMember[]): string {
  const list = others.map(other => `  ${other.nodeName} (${whereIs(other)})`)
  const all = ['Are all of these off or wiped, and will they stay so until they join again?', ...list]
  return `${all.join('\n')}\nIf one of them runs, two clusters will believe that they are this one. All off?`
}
