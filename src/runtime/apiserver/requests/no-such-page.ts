/** Requests for what nobody serves: below the paths of built-in groups a Status says so, elsewhere a line of text. */
import type { KubeResponse } from '../../../client/transport.ts'
import { noSuchPath, type StatusError } from '../../../kube/status.ts'
import type { ApiContext } from '../context.ts'
import { textResponse } from './respond.ts'

const STATUS = noSuchPath().status

/** The answer to a request that no path is there for, where it is no Status; else null. */
export function noSuchPage(context: ApiContext, path: string, { status }: StatusError): KubeResponse | null {
  if (status.code !== STATUS.code || status.message !== STATUS.message) return null
  return isBuiltIn(context, path) ? null : textResponse(404, '404 page not found\n')
}

/** Groups that definitions bring have no service of their own in kube-apiserver, and neither has anything else. */
function isBuiltIn({ resources }: ApiContext, path: string): boolean {
  const [root, group] = path.split('/').filter(part => part !== '')
  if (root === 'api') return true
  if (root !== 'apis') return false
  return (
    group === undefined || resources.all.some(one => one.custom === undefined && one.info.group === group)
  )
}
