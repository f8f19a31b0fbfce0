package dev.limbeck.distillation.cli;

import dev.limbeck.distillation.diffusion.Samplers;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.ServiceLoader;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.HelpCommand;
import picocli.CommandLine.ParameterException;

/**
 * The program {@code limbeck}: reads the command line and runs one command.
 *
 * <p>Exit status: 0 for success, 2 for a command line that makes no sense, 1 for anything else that
 * went wrong. Whatever went wrong is told in one sentence on the error stream; {@code
 * -Dlimbeck.debug} adds the stack trace.
 */
@Command(
    name = "limbeck",
    description = "Turns a many-step diffusion model into one that draws in one to four steps.",
    mixinStandardHelpOptions = true,
    versionProvider = Versions.class,
    synopsisSubcommandLabel = "COMMAND",
    subcommands = {
      DistillCommand.class,
      CompareCommand.class,
      TrainCommand.class,
      TrainEncoderCommand.class,
      SampleCommand.class,
      EditCommand.class,
      EvaluateCommand.class,
      TrainFeaturesCommand.class,
      RatesCommand.class,
      CompareGoldenCommand.class,
      InfoCommand.class,
      HelpCommand.class
    })
public final class Main implements Runnable {
  private static final int WRONG = 1;
  private static final int USAGE = 2;

  @CommandLine.Spec private CommandLine.Model.CommandSpec spec;

  /** What the lines of a list begin with. */
  private static final String LIST = System.lineSeparator() + "  ";

  private Main() {}

  /** Runs the command and ends the process with its exit status. */
  public static void main(String[] args) {
    System.exit(run(System.out, System.err, args));
  }

  /** Runs the command; the exit status. */
  public static int run(PrintStream out, PrintStream err, String... args) {
    CommandLine line = new CommandLine(new Main());
    ServiceLoader.load(Extension.class).forEach(e -> line.addSubcommand(e.command()));
    line.setOut(new PrintWriter(out, true, StandardCharsets.UTF_8));
    line.setErr(new PrintWriter(err, true, StandardCharsets.UTF_8));
    line.setCaseInsensitiveEnumValuesAllowed(true);
    line.setUsageHelpAutoWidth(true);
    line.setParameterExceptionHandler((e, unused) -> refuse(err, e));
    line.setExecutionExceptionHandler((e, command, unused) -> tell(err, command, e));
    try {
      if (SamplerOption.asksForList(args)) {
        Samplers.list().forEach(line.getOut()::println);
        return 0;
      }
      return line.execute(args);
    } catch (Throwable e) { // errors of the JVM, which picocli does not hand to its handlers
      return tell(err, line, e);
    } finally {
      line.getOut().flush();
      err.flush();
    }
  }

  @Override
  public void run() {
    throw new ParameterException(spec.commandLine(), "name a command");
  }

  private static int refuse(PrintStream err, ParameterException e) {
    String name = e.getCommandLine().getCommandSpec().qualifiedName();
    // A list of what there is stands below the sentence, one line each.
    int list = e.getMessage().indexOf(LIST);
    if (list >= 0) {
      err.println(name + ": " + Failure.oneLine(e.getMessage().substring(0, list)) + ":");
      e.getMessage()
          .substring(list)
          .strip()
          .lines()
          .forEach(each -> err.println("  " + each.strip()));
    } else {
      err.println(name + ": " + Failure.oneLine(e.getMessage()) + "; see " + name + " --help");
    }
    trace(err, e);
    return USAGE;
  }

  private static int tell(PrintStream err, CommandLine command, Throwable e) {
    err.println(command.getCommandSpec().qualifiedName() + ": " + Failure.sentence(e));
    trace(err, e);
    return WRONG;
  }

  private static void trace(PrintStream err, Throwable e) {
    if (System.getProperty("limbeck.debug") != null) {
      e.printStackTrace(err);
    }
  }
}
