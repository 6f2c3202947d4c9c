/** The door: everything an expression in Kubernetes may call. */
import { type FunctionTable, functionTable } from '../functions.ts'
import { authorizers } from './authorizer.ts'
import { collections } from './collections.ts'
import { conversions } from './conversions.ts'
import { formats } from './formats.ts'
import { math } from './math.ts'
import { net } from './net.ts'
import { operators } from './operators.ts'
import { quantities } from './quantities.ts'
import { regexes } from './regex.ts'
import { semvers } from './semvers.ts'
import { strings } from './strings.ts'
import { timeParts } from './time.ts'
import { urls } from './urls.ts'

export const kubernetesFunctions: FunctionTable = functionTable(
  operators,
  conversions,
  timeParts,
  strings,
  regexes,
  collections,
  math,
  quantities,
  net,
  urls,
  formats,
  semvers,
  authorizers,
)
