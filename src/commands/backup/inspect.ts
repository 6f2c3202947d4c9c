/** `mk8s backup inspect`: what is in a backup, object by object, without a cluster. */
import * as Args from '@oclif/core/args'
import { Mk8sError } from '../../base/errors.ts'
import { renderColumns } from '../../cli/columns.ts'
import { Flags } from '../../cli/flags.ts'
import { print, printJson } from '../../cli/terminal.ts'
import { readAsset } from '../../host/assets.ts'
import { parseModel } from '../../kube/model.ts'
import { renderYaml } from '../../kube/yaml.ts'
import type { Backup } from '../../runtime/backup/backup-reader.ts'
import { BACKUP_EXTENSION, dataOf, describeBackup } from '../../runtime/backup/describe-backup.ts'
import {
  kindsIn,
  type ObjectSelector,
  parseSelector,
  selectObjects,
} from '../../runtime/backup/object-selector.ts'
import { objectOf, parseObjectKey, resourceNameOf } from '../../runtime/backup/state-contents.ts'
import { withBackupState } from '../../runtime/backup/verify-backup.ts'
import type { KeyValue } from '../../runtime/store/store.ts'
import { NodeCommand } from '../base-command.ts'
import { openingFlags, withBackup } from './opening-flags.ts'
import { FILE_OR_URL } from './remote-flags.ts'

type Output = 'name' | 'yaml' | 'json'

export class BackupInspect extends NodeCommand {
  static override summary = 'Browse the objects in a backup, without a cluster.'
  static override description =
    'Without OBJECTS it tells what the backup holds. Kinds are named as for kubectl (pods, deploy, ' +
    'Deployment.apps), custom ones too. One object is shown as YAML, several as a list of names, unless -o says ' +
    'otherwise.'
  static override examples = [
    '<%= config.bin %> backup inspect mk8s.mk8sbackup',
    '<%= config.bin %> backup inspect mk8s.mk8sbackup deployments/default',
    '<%= config.bin %> backup inspect mk8s.mk8sbackup configmap/default/settings -o json',
    '<%= config.bin %> backup inspect --schedule nightly pods',
  ]
  static override args = {
    file: Args.string({ description: `${FILE_OR_URL} Not needed with --schedule.` }),
    objects: Args.string({ description: 'KIND[/NAMESPACE[/NAME]], or KIND/NAME for what has no namespace.' }),
  }
  static override flags = {
    ...openingFlags,
    output: Flags.string({
      char: 'o',
      description: 'How to show objects.',
      options: ['name', 'yaml', 'json'],
    }),
  }

  async run(): Promise<number> {
    const { args, flags } = await this.parse(BackupInspect)
    const output = (flags.json ? 'json' : flags.output) as Output | undefined
    const { file, objects } = placed(args, flags.schedule !== undefined)
    return await withBackup(file, flags, async backup => {
      if (objects === undefined) showManifest(backup, output)
      else await showObjects(backup, objects, output)
      return 0
    })
  }
}

/** Of a schedule, the file may be left out: one argument that names none are the objects then. */
function placed(
  { file, objects }: { readonly file: string | undefined; readonly objects: string | undefined },
  ofSchedule: boolean,
): { readonly file: string | undefined; readonly objects: string | undefined } {
  const isObjects = ofSchedule && objects === undefined && !file?.endsWith(BACKUP_EXTENSION)
  return isObjects ? { file: undefined, objects: file } : { file, objects }
}

function showManifest(backup: Backup, output: Output | undefined): void {
  const { path: file, bytes, encryption, manifest } = backup
  const described = { file, bytes, encryption, manifest }
  if (output === 'json') printJson(dataOf(described))
  else if (output === 'yaml') print(renderYaml(dataOf(described)))
  else print(describeBackup(described))
}

async function showObjects(backup: Backup, text: string, output: Output | undefined): Promise<void> {
  await withBackupState(backup, state => {
    const selector = parseSelector(text, kindsIn(state, parseModel(readAsset('model.json'))))
    const found = selectObjects(state, selector)
    const isOne = selector.name !== null
    const shown = output ?? (isOne ? 'yaml' : 'name')
    const count = shown === 'name' ? showNames(found) : showBodies(found, shown, isOne)
    if (count === 0 && isOne) throw notFound(backup, selector)
  })
}

function notFound({ path }: Backup, { kinds, namespace, name }: ObjectSelector): Mk8sError {
  const resource = kinds.map(resourceNameOf).join(' or ')
  const where = namespace === null ? '' : ` in the namespace ${namespace}`
  return new Mk8sError('usage', `the backup ${path} has no ${resource} ${name}${where}`)
}

function showNames(found: Iterable<KeyValue>): number {
  const rows = [...found].flatMap(({ key, modRevision }) => {
    const object = parseObjectKey(key)
    if (object === null) return []
    return [[resourceNameOf(object), object.namespace || '-', object.name, String(modRevision)]]
  })
  print(rows.length === 0 ? 'none' : renderColumns([['KIND', 'NAMESPACE', 'NAME', 'REVISION'], ...rows]))
  return rows.length
}

/** One after the other: there may be many. */
function showBodies(found: Iterable<KeyValue>, output: 'yaml' | 'json', isOne: boolean): number {
  const isList = output === 'json' && !isOne
  if (isList) print('{"apiVersion":"v1","kind":"List","items":[')
  let count = 0
  for (const kv of found) {
    const object = objectOf(kv)
    if (object === null) throw unreadable(kv)
    if (output === 'yaml') print(`${count > 0 ? '---\n' : ''}${renderYaml(object)}`)
    else print(`${isList && count > 0 ? ',' : ''}${JSON.stringify(object, null, 2)}`)
    count++
  }
  if (isList) print(']}')
  return count
}

const unreadable = ({ key }: KeyValue): Mk8sError =>
  new Mk8sError('store/version', `the object ${key} cannot be shown`, {
    why: 'its value has a form that this version of mk8s does not know',
  })
