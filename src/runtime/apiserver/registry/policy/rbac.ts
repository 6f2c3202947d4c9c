/** Roles and bindings. Their names are path segments, so colons are fine. */
import type { FieldError } from '../../../../kube/field-error.ts'
import { invalid, required } from '../../../../kube/field-error.ts'
import { checkDns1123Subdomain, checkPathSegmentName } from '../../../../kube/names.ts'
import type { ClusterRole, PolicyRule, Role, RoleBinding, Subject } from '../../../../kube/types.ts'
import { ageColumn, column, createdAtTable, nameColumn, since, tableOf, wide } from '../columns.ts'
import { defineKind } from '../kind.ts'
import type { Strategy } from '../strategy.ts'
import { asKind, at, semanticallyEqual } from '../support.ts'
import { checkEach, checkOneOf, checkSelector, isEmptySelector } from '../validation/meta.ts'

const GROUP = 'rbac.authorization.k8s.io'

function checkRule(out: FieldError[], path: string, rule: PolicyRule, isNamespaced: boolean): void {
  if ((rule.verbs ?? []).length === 0) {
    out.push(required(`${path}.verbs`, 'verbs must contain at least one value'))
  }
  const urls = rule.nonResourceURLs ?? []
  if (urls.length > 0) {
    if (isNamespaced) {
      const detail = 'namespaced rules cannot apply to non-resource URLs'
      out.push(invalid(`${path}.nonResourceURLs`, urls, detail))
    }
    const others = [rule.apiGroups, rule.resources, rule.resourceNames]
    if (others.some(list => (list ?? []).length > 0)) {
      const detail = 'rules cannot apply to both regular resources and non-resource URLs'
      out.push(invalid(`${path}.nonResourceURLs`, urls, detail))
    }
    return
  }
  if ((rule.apiGroups ?? []).length === 0) {
    out.push(required(`${path}.apiGroups`, 'resource rules must supply at least one api group'))
  }
  if ((rule.resources ?? []).length === 0) {
    out.push(required(`${path}.resources`, 'resource rules must supply at least one resource'))
  }
}

function roleOf(resource: 'roles' | 'clusterroles'): Strategy {
  return defineKind({
    group: GROUP,
    resource,
    allowCreateOnUpdate: true,
    validate(object) {
      const out: FieldError[] = []
      for (const [index, rule] of (asKind<Role>(object).rules ?? []).entries()) {
        checkRule(out, at('rules', index), rule, resource === 'roles')
      }
      const aggregation = asKind<ClusterRole>(object).aggregationRule
      if (resource === 'roles' || !aggregation) return out
      const selectors = aggregation.clusterRoleSelectors ?? []
      if (selectors.length === 0) {
        const detail = 'at least one clusterRoleSelector required if aggregationRule is non-nil'
        out.push(required('aggregationRule.clusterRoleSelectors', detail))
      }
      for (const [index, selector] of selectors.entries()) {
        const field = at('aggregationRule.clusterRoleSelectors', index)
        checkSelector(out, field, selector)
        if (isEmptySelector(selector)) {
          out.push(invalid(field, selector, 'empty selector is invalid'))
        }
      }
      return out
    },
    validateName: name => checkPathSegmentName(name)[0] ?? null,
    table: createdAtTable,
  })
}

export const roles: Strategy = roleOf('roles')
export const clusterRoles: Strategy = roleOf('clusterroles')

function checkSubject(out: FieldError[], path: string, subject: Subject, isNamespaced: boolean): void {
  if (!subject.name) out.push(required(`${path}.name`))
  if (subject.kind === 'ServiceAccount') {
    if (subject.name) checkEach(out, `${path}.name`, subject.name, checkDns1123Subdomain(subject.name))
    if (subject.apiGroup) checkOneOf(out, `${path}.apiGroup`, subject.apiGroup, [''])
    if (!subject.namespace && !isNamespaced) out.push(required(`${path}.namespace`))
  } else if (subject.kind === 'User' || subject.kind === 'Group') {
    const detail = `${subject.kind.toLowerCase()} name cannot be empty`
    if (!subject.name) out.push(invalid(`${path}.name`, '', detail))
    checkOneOf(out, `${path}.apiGroup`, subject.apiGroup, [GROUP])
  } else checkOneOf(out, `${path}.kind`, subject.kind, ['ServiceAccount', 'User', 'Group'])
}

function bindingOf(resource: 'rolebindings' | 'clusterrolebindings'): Strategy {
  const isNamespaced = resource === 'rolebindings'
  const kinds = isNamespaced ? ['Role', 'ClusterRole'] : ['ClusterRole']
  return defineKind({
    group: GROUP,
    resource,
    allowCreateOnUpdate: true,
    applyDefaults(object) {
      const { roleRef, subjects } = asKind<RoleBinding>(object)
      if (roleRef && !roleRef.apiGroup) roleRef.apiGroup = GROUP
      for (const subject of subjects ?? []) {
        if (!subject.apiGroup && subject.kind !== 'ServiceAccount') subject.apiGroup = GROUP
      }
    },
    validate(object) {
      const { roleRef, subjects } = asKind<RoleBinding>(object)
      const out: FieldError[] = []
      checkOneOf(out, 'roleRef.apiGroup', roleRef?.apiGroup, [GROUP])
      checkOneOf(out, 'roleRef.kind', roleRef?.kind, kinds)
      if (!roleRef?.name) out.push(required('roleRef.name'))
      else
        for (const problem of checkPathSegmentName(roleRef.name)) {
          out.push(invalid('roleRef.name', roleRef.name, problem))
        }
      for (const [index, subject] of (subjects ?? []).entries()) {
        checkSubject(out, at('subjects', index), subject, isNamespaced)
      }
      return out
    },
    validateUpdate(next, previous) {
      const after = asKind<RoleBinding>(next).roleRef
      if (semanticallyEqual(after, asKind<RoleBinding>(previous).roleRef)) return []
      return [invalid('roleRef', after, 'cannot change roleRef')]
    },
    validateName: name => checkPathSegmentName(name)[0] ?? null,
    table: tableOf<RoleBinding>(
      [
        nameColumn,
        column('Role', 'Role that is bound'),
        ageColumn,
        wide('Users', 'Users it is bound to'),
        wide('Groups', 'Groups it is bound to'),
        wide('ServiceAccounts', 'Service accounts it is bound to'),
      ],
      ({ metadata, roleRef, subjects = [] }, nowMs) => {
        const named = (kind: string) =>
          subjects
            .filter(item => item.kind === kind)
            .map(item => (kind === 'ServiceAccount' ? `${item.namespace ?? ''}/${item.name}` : item.name))
            .join(', ')
        return [
          metadata.name ?? '',
          `${roleRef?.kind}/${roleRef?.name}`,
          since(metadata.creationTimestamp, nowMs),
          named('User'),
          named('Group'),
          named('ServiceAccount'),
        ]
      },
    ),
  })
}

export const roleBindings: Strategy = bindingOf('rolebindings')
export const clusterRoleBindings: Strategy = bindingOf('clusterrolebindings')
