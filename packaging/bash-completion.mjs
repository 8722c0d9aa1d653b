// Makes bash completion from the command's own options.

/** Names of values and arguments that are files. */
const FILES = /^(FILE|CODE|ARGS)$/

/** Answers a bash script. */
export function bashCompletion(program) {
  const help = program.createHelp()
  const commands = help.visibleCommands(program)
  const withValue = [program, ...commands].flatMap((command) => help.visibleOptions(command)).filter(valueName)
  const [files, others] = [withValue.filter(isFile), withValue.filter((option) => !isFile(option))]
  const words = [...commands.map((command) => command.name()), ...names(help.visibleOptions(program))]
  const cases = commands.map((command) => {
    const takesFiles = help.visibleArguments(command).some((argument) => FILES.test(argument.name()))
    const options = names(help.visibleOptions(command)).join(' ')
    return `        ${command.name()}) options='${options}' files=${takesFiles ? 'yes' : ''} ;;`
  })
  return `# Made of the command's own options.
_flux_agent() {
    local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD - 1]} options='' files=''
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W '${words.join(' ')}' -- "$word")
        return
    fi
    case "$before" in
        ${names(files).join(' | ')}) _flux_agent_files "$word"; return ;;
        ${names(others).join(' | ')}) return ;;
    esac
    case "\${COMP_WORDS[1]}" in
${cases.join('\n')}
    esac
    if [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
    elif [[ $files ]]; then
        _flux_agent_files "$word"
    fi
}

_flux_agent_files() {
    compopt -o filenames
    mapfile -t COMPREPLY < <(compgen -f -- "$1")
}

complete -F _flux_agent flux-agent
`
}

function valueName(option) {
  return /<(.+)>/.exec(option.flags)?.[1]
}

function isFile(option) {
  return FILES.test(valueName(option))
}

function names(options) {
  return [...new Set(options.map((option) => option.long ?? option.short))]
}
