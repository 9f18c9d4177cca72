// What pgjdbc makes of refused statements: one line for each thing that happened. Its one argument is a JDBC URL.

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;

public class Rules {
    interface Work {
        Object run() throws SQLException;
    }

    static void say(String what, Work work) {
        try {
            System.out.println(what + ": " + work.run());
        } catch (SQLException why) {
            System.out.println(what + ": " + why.getSQLState());
        }
    }

    static Object count(Statement statement) throws SQLException {
        try (ResultSet rows = statement.executeQuery("SELECT count(*) FROM notes")) {
            rows.next();
            return rows.getLong(1);
        }
    }

    static Object rows(Statement statement, String sql) throws SQLException {
        int seen = 0;
        try (ResultSet rows = statement.executeQuery(sql)) {
            while (rows.next()) {
                seen++;
            }
        }
        return seen;
    }

    public static void main(String[] arguments) throws Exception {
        try (Connection connection = DriverManager.getConnection(arguments[0]);
                Statement statement = connection.createStatement()) {
            connection.setAutoCommit(false);
            say("insert", () -> statement.executeUpdate("INSERT INTO notes VALUES (101)"));
            say("denied", () -> statement.execute("TRUNCATE notes"));
            say("failed", () -> count(statement));
            connection.rollback();
            say("undone", () -> count(statement));
            say("several", () -> statement.execute("INSERT INTO notes VALUES (102); TRUNCATE notes"));
            connection.rollback();
            statement.addBatch("INSERT INTO notes VALUES (103)");
            statement.addBatch("TRUNCATE notes");
            statement.addBatch("INSERT INTO notes VALUES (104)");
            say("batch", () -> statement.executeBatch().length);
            connection.rollback();
            say("undone", () -> count(statement));
            say("bounded", () -> rows(statement, "SELECT * FROM numbers"));
            connection.rollback();
            statement.setFetchSize(7);
            say("in portions", () -> rows(statement, "SELECT * FROM numbers"));
            connection.rollback();
            say("alive", () -> count(statement));
        }
    }
}
